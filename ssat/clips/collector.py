"""The collector: works through shards of candidates and assigns class ids in candidate order."""

from __future__ import annotations

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlsplit

from ssat.clips import status as st
from ssat.clips.attempts import Attempts
from ssat.clips.collect_plan import CollectPlan, Shard
from ssat.clips.collected import ArchiveProblem, CollectResult, SkippedFiles
from ssat.clips.disk import DiskBudget
from ssat.clips.download import tool_version
from ssat.clips.egress import Egress, LocalEgress
from ssat.clips.failures import FailureClass
from ssat.clips.growing_roster import GrowingRoster
from ssat.clips.history import History
from ssat.clips.lists import Candidate, ClipList, read_list
from ssat.clips.rows import CollectedClip, StatusRow
from ssat.clips.run_facts import COLLECTOR_LOCK, RunFacts
from ssat.clips.settings import CollectSettings
from ssat.clips.sources.chain import sources_of
from ssat.clips.stages import ArchiveFailure, ClipProgress, Finished, Job, Work
from ssat.clips.status import StatusLog
from ssat.errors import InputError, WorkspaceError
from ssat.file_names import ROSTER
from ssat.locks import FolderLock
from ssat.redaction import without_credentials
from ssat.workspace import Workspace

__all__ = ["Collector", "Shard", "ShardOutcome"]

_MAX_REJECTED = 20  # rows of the list that are named


@dataclass(frozen=True)
class ShardOutcome:
    """Candidates of a shard, also by outcome; its time in seconds; why the run ends here, empty if it does not."""

    attempted: int
    collected: int
    by_class: dict[str, int]
    seconds: float
    stopped: str


class Collector:
    """Collector of clips into one workspace. A context manager: it holds the workspace's collector lock while open.

    Candidates are settled once they are collected or given up. Class ids go to collected clips in candidate order, up
    to the first candidate that is not settled, so they do not depend on the number of concurrent downloads.
    """

    def __init__(self, workspace: Workspace, settings: CollectSettings, egress: Egress | None = None) -> None:
        """Read the list. `egress`: shared with other collectors; None: this one's own.

        Raises:
            InputError: no list, one that cannot be used, or a mirror that is none.
        """
        if not settings.source:
            raise InputError(
                "collect: no source given; name a Kinetics CSV, a text file of URLs or a folder of videos with "
                "setting `source`"
            )
        self.workspace = workspace
        self.settings = settings
        self.run_id = uuid.uuid4().hex[:12]
        self.list: ClipList = read_list(
            settings.source, url_template=settings.url_template, min_seconds=settings.min_seconds
        )
        self.candidates: list[Candidate] = self.list.ordered(settings.seed)
        self.egress = egress or LocalEgress(
            workspace.clips / "breaker.json", settings.requests_per_hour, settings.jitter_seconds
        )
        self.chain = sources_of(settings, self.list, workspace, self.egress)
        busy = (
            f"workspace {workspace.clips.parent}: another collector (process {{process}}) is at work in it; wait until "
            "it has finished, or use another workspace"
        )
        self._lock = FolderLock(workspace.clips, busy, COLLECTOR_LOCK)
        self.stopped = ""
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            with self._faults_explained():
                self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._attempts.close()
            shutil.rmtree(self._downloads, ignore_errors=True)  # first: where the disk is full it makes room
            with self._faults_explained():
                self._log.commit()
        finally:
            self._lock.release()

    def _open(self) -> None:
        clips, settings = self.workspace.clips, self.settings
        self._downloads = clips / "downloads"
        # Incomplete files of a killed collector.
        shutil.rmtree(self._downloads, ignore_errors=True)
        for path in clips.glob("trimmed/*/.*.partial.mp4"):
            path.unlink(missing_ok=True)
        self._log = StatusLog(self.workspace)
        tool = tool_version() if self.list.kind != "folder" else ""
        self._history = History(self.workspace, self.candidates, tool=tool, retry_dead=settings.retry_dead)
        self._growing = GrowingRoster(self.workspace, settings, self.candidates, self._history, self._give_up)
        self._plan = CollectPlan(self.candidates, self._history, self._growing, self.chain, settings)
        self._disk = DiskBudget(clips, settings, *self._history.on_disk())
        self._attempts = Attempts(
            self.workspace,
            settings,
            self._log,
            self.egress,
            self.run_id,
            self._downloads,
            one_server=self.list.kind == "csv" or _one_server(self.candidates),
        )
        RunFacts(self.run_id, st.now(), settings.clips, len(self.candidates)).save(self.workspace)
        self._growing.give()

    def _give_up(self, row: StatusRow) -> None:
        row = replace(row, run_id=self.run_id)
        self._log.append(row)
        self._history.note(row)

    @property
    def roster(self) -> Any:
        """The roster as it is on disk, a pyarrow.Table of `ROSTER_SCHEMA`."""
        return self._growing.roster

    def next_shard(self) -> Shard | None:
        """Return the next candidates to work through; None when enough clips are collected, or nothing can be done now.

        Raises:
            WorkspaceError: the disk is full or not writable.
        """
        with self._faults_explained():
            return self._next_shard()

    def _next_shard(self) -> Shard | None:
        while not self.stopped:
            shard, reason = self._plan.next_shard(self.egress.pause, self._absent)
            if shard is None:
                self._log.commit()
                self._growing.give()
                # If all wanted candidates were skipped, the pause is the reason.
                reason = reason or (self.egress.pause() if self._plan.waiting else "")
                if not reason or not self._wait_out():
                    self.stopped = reason
                    return None
                continue
            self.stopped = self._disk.refusal(shard.offer.expected)
            if not self.stopped:
                return shard
        return None

    def _wait_out(self) -> bool:
        """Wait for the end of the egress's pause where the settings say so; whether it is over."""
        if not self.settings.wait_out_pauses:
            return False
        while (seconds := self.egress.pause_s()) > 0:
            time.sleep(min(seconds + 0.05, 30.0))
        self._plan.forget_waiting()
        return True

    def _absent(self, position: int) -> None:
        candidate = self.candidates[position]
        self._history.note(self._attempts.absent(candidate, self._history.attempts(candidate.clip_id)))
        self._plan.attempted += 1

    def run_shard(self, shard: Shard, progress: ClipProgress | None = None) -> ShardOutcome:
        """Work through a shard, `downloads` clips at a time. `progress` is told of each candidate.

        Raises:
            WorkspaceError: the disk is full or not writable; what was finished is kept.
        """
        outcomes: Counter[str] = Counter()
        started = time.monotonic()
        try:
            with self._faults_explained():
                finished = self._run(shard, progress or ClipProgress())
                self._attempts.decide()
                for position, rows in finished:
                    outcomes.update(self._take(position, rows))
                self._log.commit()
                self._growing.give()
        except BaseException:
            self._attempts.stop()
            raise
        if reason := self._attempts.stop_reason():
            self.stopped = self.stopped or reason
        outcome = ShardOutcome(
            attempted=outcomes.total(),
            collected=outcomes[st.OK],
            by_class=dict(outcomes),
            seconds=round(time.monotonic() - started, 3),
            stopped=self.stopped or (self.egress.pause() if self.chain.network else ""),
        )
        self._plan.attempted += outcome.attempted
        self._plan.collected += outcome.collected
        return outcome

    def _run(self, shard: Shard, progress: ClipProgress) -> list[Finished]:
        work = [
            Work(position, candidate, self._history.attempts(candidate.clip_id))
            for position in shard.positions
            for candidate in [self.candidates[position]]
        ]
        job = Job(self._plan.is_last(shard.stage), self.settings.concurrent_downloads, self._downloads, progress)
        try:
            return self.chain.stages[shard.stage].fetch(self._attempts, work, shard.offer, job)
        except ArchiveFailure as broken:
            self._archive_failed(broken)
            return broken.finished

    def _archive_failed(self, broken: ArchiveFailure) -> None:
        mirror, archive, failure = broken.mirror, broken.archive, broken.failure
        kind = failure.failure_class
        if kind is FailureClass.RATE:
            self.egress.open(max(self.settings.rate_limit_pause_seconds, failure.retry_after_s or 0), failure.message)
        elif kind in (FailureClass.GONE, FailureClass.MEDIA):
            mirror.problems[archive] = failure.message
        elif kind is not FailureClass.NET or mirror.failed(archive) >= self.settings.network_attempts:
            self.stopped = (
                f"stopped: {without_credentials(archive)} cannot be read ({kind}: {failure.message}); look at the "
                "network and the mirror, then run again: archives that were read are not read again"
            )

    @contextmanager
    def _faults_explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"workspace {self.workspace.root}: collecting stopped: {error.strerror or error}; finished clips are "
                "kept, run `ssat collect` again when it is put right"
            ) from error

    def _take(self, position: int, rows: Sequence[StatusRow] | None) -> Sequence[str]:
        """Note the rows of one candidate's attempts; its outcome, none where the collector stopped before its turn."""
        if rows is None:
            self._plan.advance(position)
            return ()
        if not rows:
            self._plan.pass_over(position)
            return ()
        row = self._attempts.decided(rows[-1])
        self._history.note(row)
        if row.status == st.FAILED:
            self._plan.advance(position)
            return ()
        if row.status == st.WAITING:
            self._plan.pass_over(position)
        if row.status == st.OK:
            clip = CollectedClip.of(row)
            self._disk.add(clip.bytes)
            if clip.clip_id in self._growing.ids:
                self._growing.repaired(clip)
        return (row.error_class or st.OK,)

    def result(self) -> CollectResult:
        """Return the result of this run and the content of the workspace."""
        skipped = [(self.list.source, group) for group in self.list.skipped]
        skipped += self.chain.skipped
        return CollectResult(
            source=str(self.settings.source),
            clips=self.roster.num_rows,
            wanted=self.settings.clips,
            attempted=self._plan.attempted,
            collected=self._plan.collected,
            candidates=len(self.candidates),
            left=sum(not self._history.settled(candidate.clip_id) for candidate in self.candidates),
            by_class=self._history.counts(candidate.clip_id for candidate in self.candidates),
            rejected=len(self.list.rejected),
            rejected_rows=tuple(self.list.rejected[:_MAX_REJECTED]),
            skipped=sum(group.files for _, group in skipped),
            skipped_files=tuple(SkippedFiles(str(folder), group) for folder, group in skipped),
            archives=tuple(
                ArchiveProblem(without_credentials(archive), problem)
                for stage in self.chain.stages
                for archive, problem in stage.problems()
            ),
            stopped=self.stopped,
            seconds=round(time.monotonic() - self._started, 2),
            run_id=self.run_id,
            roster=ROSTER,
            pause_s=round(self.egress.pause_s()),
        )


def _one_server(candidates: Sequence[Candidate]) -> bool:
    first = urlsplit(candidates[0].locator).netloc
    return all(urlsplit(candidate.locator).netloc == first for candidate in candidates)
