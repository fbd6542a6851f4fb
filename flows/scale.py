"""The climb of the ladder of training sizes: rung by rung, by the stages, until a budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import runtime

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.stages.collect import STAGE as COLLECT
from flows.stages.collect import NothingCollectedError
from flows.stages.decode import STAGE as DECODE
from flows.stages.scale import ScaleBundle
from flows.stages.train import STAGE as TRAIN
from ssat.clips.collected import CollectResult
from ssat.errors import InputError
from ssat.file_names import CHECKPOINTS
from ssat.frames.decoded import DecodedStore, DryDecoding
from ssat.scale.budget import GIB, Budget
from ssat.scale.ladder import ClimbResult, Ladder, Rung
from ssat.workspace import Workspace
from tasks.failures import unwrap
from tasks.halt import Halted, halting
from tasks.notify import notify
from tasks.promotion import promote
from tasks.scale import images_of, missing_held_out, report_climb, stored_bytes

_Result = TypeVar("_Result")


def climb(workspace: Workspace, settings: ScaleBundle) -> ClimbResult:
    """Collect, decode, train and benchmark for the next rung, then compare with the champion and promote or not.

    The numbers of clips are the rung's; `train.warm_start` is the training of the rung before, where `settings` want
    that.

    Raises:
        SsatError: a stage cannot do its work; what is finished is kept, and the webhook is notified.
    """
    rungs = Climb(workspace, settings)
    try:
        with halting(rungs.budget.spent, rungs.budget.note_outcomes):
            rungs.run()
    except Exception as error:
        if runtime.deployment.id is None:  # a deployment notifies by its own hook
            notify("failed", f"scale failed: {unwrap(error) or error}", next=rungs.next_clips)
        raise
    result = rungs.result()
    report_climb(result, rungs.ladder)
    return result


class Climb:
    """One run of the stage: its budget, the ladder as it grows, and why it stopped."""

    def __init__(self, workspace: Workspace, settings: ScaleBundle) -> None:
        self.workspace, self.settings = workspace, settings.settings
        self.collect, self.decode = settings.collect, settings.decode
        self.train, self.benchmark = settings.train, settings.benchmark
        self.budget = Budget(self.settings)
        self.ladder = Ladder.load(workspace)
        self.reached: list[Rung] = []
        self.stopped = ""
        self._minutes: dict[str, float] = {}

    @property
    def next_clips(self) -> int | None:
        return self.ladder.next_clips(self.settings.ladder)

    def run(self) -> None:
        """Rung by rung until there are enough of them, or something says stop."""
        try:
            while len(self.reached) < self.settings.rungs:
                clips = self.next_clips
                if clips is None:
                    if not self.reached:
                        raise Halted(f"the ladder is at its top, {self.settings.ladder[-1]:,} clips")
                    return
                self._climb(clips)
        except Exception as error:
            cause = unwrap(error)
            if not isinstance(cause, Halted):
                raise
            self.stopped = str(cause)
            if self.stopped.startswith("budget:"):
                notify("stopped", f"scale stopped; {self.stopped}", next=self.next_clips)

    def _climb(self, clips: int) -> None:
        last = self.ladder.last
        self._minutes = {}
        clips, decoded = self._gather(clips)
        warm = self._warm_start()
        train = self.train.model_copy(update={"clips": clips, **({"warm_start": warm} if warm else {})})
        images = images_of(self.workspace, train)
        self._stop_if(self.budget.spent() or self.budget.refuses_training(images, last))
        root = str(self.workspace.root)
        trained = self._timed("train", lambda: run_stage(TRAIN, root, train))
        embedder = str(self.workspace.absolute(trained.embedder))
        champion = self.ladder.champion
        if champion is not None:
            # Done before, unless the sequences or settings of the comparison have changed since.
            before = str(self.workspace.absolute(champion.embedder))
            run_stage(BENCHMARK, root, self.benchmark.model_copy(update={"embedder": before, "video": False}))
        scored = self._timed(
            "benchmark", lambda: run_stage(BENCHMARK, root, self.benchmark.model_copy(update={"embedder": embedder}))
        )
        scores = scored.overall.scores
        if scores is None or trained.model_version is None:
            raise InputError(
                "setting benchmark.split: test has no labels; expected a split whose scores decide"
                if scores is None
                else "MLflow: the embedder has no registered version; start the tracking server, then run again"
            )
        verdict = promote(
            self.workspace,
            trained.mlflow_run_id,
            split=scored.split,
            protocol=scored.protocol,
            data_digest=scored.data_digest,
        )
        rung = Rung(
            clips=clips,
            classes=trained.classes,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            embedder=trained.embedder,
            model_version=trained.model_version,
            architecture=train.network.architecture,
            overall={name: getattr(scores, name) for name in ("mota", "idf1", "idsw", "fp", "fn")},
            protocol=scored.protocol,
            minutes=dict(self._minutes),
            stored_bytes=stored_bytes(self.workspace),
            frames_per_second=decoded.frames_per_second,
            images=images,
            training_seconds=60 * self._minutes["train"],
            promoted=verdict.promoted,
            verdict=verdict.reason,
        )
        self.ladder = self.ladder.with_rung(self.workspace, rung)
        self.reached.append(rung)
        if rung.promoted:
            notify(
                "new-champion",
                f"{clips:,} clips: embedder version {rung.model_version} is the new champion ({rung.verdict})",
                clips=clips,
                model_version=rung.model_version,
                **rung.overall,
            )
        else:
            notify("not-promoted", f"{clips:,} clips: not promoted ({rung.verdict})", clips=clips, **rung.overall)

    def _gather(self, clips: int) -> tuple[int, DecodedStore]:
        """Collect and decode the clips of a rung; return the training clips (fewer at the list's end) and the store."""
        held_out, spare = self.train.data.held_out_clips, 0
        root = str(self.workspace.root)
        while True:
            wanted = clips + held_out + spare
            collected = self._timed("collect", partial(self._collect, wanted))
            if collected.clips < wanted:
                clips = self._all_there_is(clips, collected)
            roster = collected.clips
            on_disk = stored_bytes(self.workspace)
            self._stop_if(self.budget.spent() or self.budget.refuses_decode(roster, on_disk, self.ladder.last))
            decoded = self._timed("decode", lambda: run_stage(DECODE, root, self.decode))
            assert not isinstance(decoded, DryDecoding)  # noqa: S101 - refused before; for the type checker
            self.budget.note_failures(decoded.failed)
            self._stop_if(self.budget.spent())
            # Clips that cannot be decoded leave gaps: harmless among the classes; held-out clips are counted.
            missing = missing_held_out(self.workspace, clips, held_out)
            if not missing or collected.clips < wanted:
                return clips - missing, decoded
            spare += missing

    def _collect(self, wanted: int) -> CollectResult:
        limits: dict[str, Any] = {"clips": wanted}
        if self.settings.gib is not None:
            limits["max_disk_gib"] = min(self.settings.gib, self.collect.max_disk_gib or self.settings.gib)
        try:
            collected = run_stage(COLLECT, str(self.workspace.root), self.collect.model_copy(update=limits))
        except NothingCollectedError as error:
            # A budget or a pause of the source that came before the first clip is no failure either.
            self._stop_if(error.stopped)
            raise
        self._stop_if(collected.stopped)
        return collected

    def _all_there_is(self, clips: int, collected: CollectResult) -> int:
        there = collected.clips - self.train.data.held_out_clips
        if not self.ladder.worth(there):
            raise Halted(
                f"the list has {collected.clips:,} clips to offer and no more, too few for the rung of {clips:,}; "
                "give a longer list"
            )
        return there

    def _warm_start(self) -> str | None:
        last = self.ladder.last
        if not self.settings.warm_start or last is None or last.architecture != self.train.network.architecture:
            return None
        folder: Path = self.workspace.absolute(last.embedder).parent
        return str(folder) if (folder / CHECKPOINTS).is_dir() else None

    def _timed(self, stage: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        self._minutes[stage] = self._minutes.get(stage, 0.0) + round((time.monotonic() - began) / 60, 3)
        return result

    def _stop_if(self, reason: str) -> None:
        if reason:
            raise Halted(reason)

    def result(self) -> ClimbResult:
        summary = [
            f"Rung of {rung.clips:,} clips: IDF1 {100 * rung.overall['idf1']:.1f}, "
            f"{'promoted' if rung.promoted else 'not promoted'} ({rung.verdict})"
            for rung in self.reached
        ]
        summary += [f"Stopped: {self.stopped}"] if self.stopped else []
        summary.append(f"Next: {self.next_clips:,} clips" if self.next_clips else "The ladder is at its top")
        return ClimbResult(
            rungs=tuple(self.reached),
            ladder=self.ladder.rungs,
            champion=self.ladder.champion,
            stopped=self.stopped,
            next=self.next_clips,
            stored_gib=round(stored_bytes(self.workspace) / GIB, 3),
            summary=". ".join(summary) + ".",
        )
