"""One input tracked into files, with progress, live output and an explanation where they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssat.errors import InputError, SsatError
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.frames import DetectedFrame, StageSeconds
    from ssat.pipeline.inputs import TrackInput
    from ssat.pipeline.run import TrackRun
    from ssat.tracking.tracker import Tracks

_STAGES = ("read", "detect", "patches", "embed", "associate", "draw")


@dataclass(frozen=True)
class TrackWishes:
    """What is wanted beside the settings.

    Attributes:
        output: folder of the files.
        overwrite: replace files of an earlier run.
        live: called with each frame's answer as soon as there is one; None: not live.
        explain: an identity whose beginning and end are explained.
    """

    output: Path
    overwrite: bool = False
    live: Callable[[dict[str, Any]], None] | None = None
    explain: int | None = None


@dataclass
class _Seen:
    frames: int = 0
    identities: set[int] = field(default_factory=set)
    rows: int = 0
    slowest: float = 0.0


def open_all(inputs: tuple[str, ...], settings: TrackSettings) -> list[TrackInput]:
    """All inputs, each checked before any is tracked.

    Raises:
        InputError: one that cannot be used, or two of one name.
    """
    from ssat.pipeline.inputs import open_input

    detecting = settings.detector is not None or settings.refine != "none"
    opened = [
        open_input(given, settings.detections, settings.frame_rate, settings.min_score, detecting=detecting)
        for given in inputs
    ]
    for index, one in enumerate(opened):
        if one.name in [other.name for other in opened[:index]]:
            raise InputError(f"two inputs are called {one.name}: their files would be the same; track them separately")
        if one.source is None and settings.tracker == "ssat":
            raise InputError(
                f"{one.name}: labels only, no frames (img1): appearance needs frames, --tracker box does not"
            )
    return opened


def track_input(
    opened: TrackInput,
    settings: TrackSettings,
    workspace: Workspace,
    wishes: TrackWishes,
    *,
    embedder: PatchEmbedder | None,
    detectors: tuple[Any, Any] = (None, None),
) -> dict[str, Any]:
    """Tracks one input and writes its files; gives their paths, counts, frames per second and notes.

    What ends it early (an interruption, a broken video) is raised again when the files are complete up to there.

    Raises:
        InputError: an input that breaks, or files of that name that are there already.
        WorkspaceError: the output cannot be written.
    """
    from ssat.pipeline.background import Background
    from ssat.pipeline.outputs import TrackFiles
    from ssat.pipeline.run import TrackRun
    from ssat.tracking import Tracker
    from ssat.tracking.explain import Explainer
    from ssat.tracking.long_memory import MIN_DIFFERENT

    tracker = Tracker(settings.association, opened.frame_rate)
    detector, refiner = detectors
    video = settings.video and opened.source is not None
    run = TrackRun(
        opened,
        tracker,
        embedder,
        detector,
        refiner,
        public=(settings.refine != "none" and settings.refinement.births == "public"),
        cache=workspace.cache / "detections",
        live=wishes.live is not None,
        images=video or wishes.explain is not None,
    )
    explainer = None
    if wishes.explain is not None:
        explainer = Explainer(wishes.explain, settings.association)
        tracker.observer, run.before = explainer, explainer.seen
    rate = opened.frame_rate if video else None
    files = TrackFiles(wishes.output, opened.name, video=rate, overwrite=wishes.overwrite)
    seen, stopped = _Seen(), None
    total = len(opened.numbers) if opened.numbers else getattr(opened.source, "n_frames", None)
    began = time.perf_counter()
    with progress_bar(f"track {opened.name}", total) as advance, files, Background(files.write) as writer:
        try:
            for frame, tracks in run:
                lost = tracker.lost if settings.show_lost else None
                writer.submit(frame.number, frame.image, tracks, lost)
                _count(seen, frame, tracks)
                _say_live(wishes, frame, tracks, seen)
                run.seconds.draw = writer.seconds
                advance(1, _rates(opened.name, seen.frames, run.seconds))
        except (KeyboardInterrupt, SystemExit, SsatError) as error:
            stopped = error
    run.seconds.draw = writer.seconds
    elapsed = time.perf_counter() - began
    result = _result(opened, files, run, seen, elapsed, video)
    if (memory := tracker.method.long_memory) is not None:
        result["regained"] = memory.regained
        if memory.limit is None:
            result["notes"].append(
                f"nobody could be recognised after an absence: {memory.sums[0]:.0f} pairs of people in one frame, at "
                f"least {MIN_DIFFERENT} tell how alike different people look"
            )
    if (calibration := tracker.method.calibration) is not None and calibration.fallback is not None:
        result["notes"].append(calibration.fallback)
    if settings.interpolate_seconds > 0:
        result["interpolated"] = str(_interpolate(files.results, settings.interpolate_seconds, opened.frame_rate))
    if detector is not None or refiner is not None:
        used = detector or refiner
        result["detector"], result["detector_sha256"] = used.name, used.digest
    if stopped is not None:
        raise _told(stopped, seen.frames, files.results) from stopped
    if settings.association.extensions:
        result["beyond_the_paper"] = list(settings.association.extensions)
    if explainer is not None:
        from ssat.report.explained import write_explanation

        result["explanation"] = explainer.text()
        result["explained"] = [str(path) for path in write_explanation(explainer, wishes.output, opened.name)]
    return result


def _count(seen: _Seen, frame: DetectedFrame, tracks: Tracks) -> None:
    seen.frames += 1
    seen.rows += len(frame.detections)
    seen.identities.update(tracks.ids.tolist())
    seen.identities.difference_update(so_far for so_far, _ in tracks.regained)


def _say_live(wishes: TrackWishes, frame: DetectedFrame, tracks: Tracks, seen: _Seen) -> None:
    if wishes.live is None:
        return
    scores = [None] * len(tracks) if tracks.scores is None else tracks.scores.round(4).tolist()
    rows = [
        {"id": identity, "box": box, "score": score}
        for identity, box, score in zip(tracks.ids.tolist(), tracks.boxes.round(2).tolist(), scores, strict=True)
    ]
    regained = [{"id": former, "so_far": so_far} for so_far, former in tracks.regained]
    wishes.live({"frame": frame.number, "tracks": rows, **({"regained": regained} if regained else {})})


def _rates(name: str, frames: int, seconds: StageSeconds) -> str:
    rates = [
        f"{stage} {frames / spent:.0f}" for stage in _STAGES if (spent := getattr(seconds, stage)) > 0 and frames > 4
    ]
    return f"track {name}" + (f" (fps: {', '.join(rates)})" if rates else "")


def _told(stopped: BaseException, frames: int, results: Path) -> BaseException:
    if isinstance(stopped, SsatError):
        where = f"; the {frames} frames before it are in {results}" if frames else ""
        return type(stopped)(f"{stopped}{where}")
    return stopped


def _result(opened: TrackInput, files: Any, run: TrackRun, seen: _Seen, elapsed: float, video: bool) -> dict[str, Any]:
    notes = list(getattr(opened.source, "notes", []))
    if opened.source is None:
        notes.append("labels only, no frames: no video is written")
    if opened.detections is not None and run.detector is None and run.refiner is None:
        unused = len(opened.detections) - seen.rows
        if unused:
            notes.append(f"{unused} detections stand beyond the last frame ({seen.frames}) and were not used")
    elif not seen.rows:
        notes.append("the detector found nobody: the files are valid and empty")
    seconds = run.seconds
    spent = {stage: getattr(seconds, stage) for stage in _STAGES}
    working = sum(spent[stage] for stage in ("detect", "patches", "embed", "associate"))
    return {
        "name": opened.name,
        "notes": notes,
        "results": str(files.results),
        "table": str(files.table),
        **({"video": str(files.video)} if video else {}),
        "frames": seen.frames,
        "identities": len(seen.identities),
        "fps": round(seen.frames / elapsed, 2) if elapsed else 0.0,
        "fps_by_stage": {stage: round(seen.frames / value, 1) for stage, value in spent.items() if value},
        "waiting_share": round(max(0.0, 1 - working / elapsed), 3) if elapsed else 0.0,
    }


def _interpolate(results: Path, seconds: float, frame_rate: float) -> Path:
    from ssat.mot.rows import read_results, write_results
    from ssat.tracking.interpolate import interpolated

    rows = read_results(results)
    table = interpolated(rows.frames, rows.ids, rows.boxes, rows.scores, round(seconds * frame_rate))
    return write_results(results.with_name(f"{results.stem}.interpolated.txt"), *table)
