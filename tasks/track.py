"""Track one input into files, with progress, live output and an explanation if enabled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssat.errors import InputError, SsatError
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace
from tasks.live import LiveFrame
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.frames import DetectedFrame
    from ssat.pipeline.inputs import TrackInput
    from ssat.pipeline.pipeline import Pipeline
    from ssat.pipeline.stage_seconds import StageSeconds
    from ssat.tracking.tracker import Tracks


@dataclass(frozen=True)
class TrackOptions:
    """Options of tracking that are not settings.

    Attributes:
        output: folder of the files.
        overwrite: replace files of an earlier run.
        live: called with each frame's answer as soon as there is one; None: not live.
        explain: an identity whose beginning and end are explained.
    """

    output: Path
    overwrite: bool = False
    live: Callable[[LiveFrame], None] | None = None
    explain: int | None = None


@dataclass(frozen=True)
class TrackedInput:
    """Result of tracking one input.

    Attributes:
        notes: what was odd about the input or its tracking, for people.
        results, table, video: the files; None: not written.
        fps, fps_by_stage: frames per second, of everything from the first frame to the finished files, and of each
            stage alone.
        fps_includes: what was done in that time.
        waiting_share: share of the time in which the main thread waited for frames or for the writer.
        filled: the files hold filled gaps.
        detector: name and SHA-256 of the network that detected; None: detections were given.
        beyond_the_paper: the extensions that were used.
        explanation, explained: why the identity began and ended, and the files that say so; None: not asked for.
        embedder: how it was named, and its digest; None: the tracker saw boxes alone.
        regained: how many identities were given back to people who returned; None: no memory of ended tracks.
    """

    name: str
    notes: tuple[str, ...]
    results: Path
    table: Path
    video: Path | None
    frames: int
    identities: int
    fps: float
    fps_by_stage: dict[str, float]
    waiting_share: float
    filled: bool = False
    detector: tuple[str, str] | None = None
    beyond_the_paper: tuple[str, ...] = ()
    explanation: str | None = None
    explained: tuple[Path, ...] = ()
    embedder: tuple[str | None, str] | None = None
    regained: int | None = None
    fps_includes: tuple[str, ...] = ()

    def as_json(self) -> Mapping[str, object]:
        """Return the keys of `ssat track --json`; those without a value are left out."""
        optional: dict[str, object] = {
            "video": None if self.video is None else str(self.video),
            "interpolated": str(self.results) if self.filled else None,
            "beyond_the_paper": list(self.beyond_the_paper) or None,
            "explanation": self.explanation,
            "regained": self.regained,
            "explained": [str(path) for path in self.explained] or None,
        }
        if self.detector is not None:
            optional["detector"], optional["detector_sha256"] = self.detector
        found = {
            "name": self.name,
            "notes": list(self.notes),
            "results": str(self.results),
            "table": str(self.table),
            "frames": self.frames,
            "identities": self.identities,
            "fps": self.fps,
            "fps_by_stage": self.fps_by_stage,
            "fps_includes": list(self.fps_includes),
            "waiting_share": self.waiting_share,
            **{key: value for key, value in optional.items() if value is not None},
        }
        if self.embedder is not None:
            found["embedder"], found["embedder_digest"] = self.embedder
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> TrackedInput:
        """Return the result that `as_json` gave."""
        return cls(
            name=found["name"],
            notes=tuple(found["notes"]),
            results=Path(found["results"]),
            table=Path(found["table"]),
            video=Path(found["video"]) if "video" in found else None,
            frames=found["frames"],
            identities=found["identities"],
            fps=found["fps"],
            fps_by_stage=found["fps_by_stage"],
            waiting_share=found["waiting_share"],
            filled="interpolated" in found,
            detector=(found["detector"], found["detector_sha256"]) if "detector" in found else None,
            beyond_the_paper=tuple(found.get("beyond_the_paper", ())),
            explanation=found.get("explanation"),
            explained=tuple(Path(path) for path in found.get("explained", ())),
            embedder=(found["embedder"], found["embedder_digest"]) if "embedder" in found else None,
            regained=found.get("regained"),
            fps_includes=tuple(found.get("fps_includes", ())),
        )


@dataclass
class _Seen:
    """A sink that counts."""

    frames: int = 0
    identities: set[int] = field(default_factory=set)
    rows: int = 0

    def __call__(self, frame: DetectedFrame, tracks: Tracks) -> None:
        self.frames += 1
        self.rows += len(frame.detections)
        self.identities.update(tracks.ids.tolist())
        self.identities.difference_update(so_far for so_far, _ in tracks.regained)


@dataclass(frozen=True)
class OpenedInputs:
    """The inputs of a command: as they were named → opened, or why they cannot be."""

    opened: dict[str, TrackInput]
    refused: dict[str, str]


def open_all(inputs: tuple[str, ...], settings: TrackSettings) -> OpenedInputs:
    """Return all inputs, each checked before any is tracked.

    Raises:
        InputError: none that can be used, or two of one name.
    """
    from ssat.pipeline.inputs import open_input

    detecting = settings.detector is not None or settings.refine != "none"
    opened: dict[str, TrackInput] = {}
    refused: dict[str, str] = {}
    for input_name in inputs:
        try:
            opened_input = open_input(
                input_name,
                settings.detections,
                settings.frame_rate,
                settings.min_score,
                detecting=detecting,
                classes=settings.classes,
            )
            if opened_input.source is None and settings.needs_appearance:
                raise InputError(
                    f"{opened_input.name}: labels only, no frames (img1); expected frames, which appearance needs. "
                    "Use --tracker box"
                )
        except InputError as error:
            if len(inputs) == 1:
                raise
            refused[input_name] = str(error)
            continue
        if input_name in opened or opened_input.name in [other.name for other in opened.values()]:
            raise InputError(
                f"two inputs are called {opened_input.name}: their files would be the same; track them separately"
            )
        opened[input_name] = opened_input
    if not opened:
        raise InputError("; ".join(refused.values()))
    return OpenedInputs(opened, refused)


def track_input(
    opened: TrackInput,
    settings: TrackSettings,
    workspace: Workspace,
    options: TrackOptions,
    *,
    embedder: PatchEmbedder | None,
    detectors: tuple[Any, Any] = (None, None),
) -> TrackedInput:
    """Track one input and write its files.

    What ends it early (an interruption, a broken video) is raised again when the files are complete up to there.

    Raises:
        InputError: an input that breaks, or files of that name that are there already.
        WorkspaceError: the output cannot be written.
    """
    from ssat.pipeline.background import Background
    from ssat.pipeline.feature_cache import FeatureCache
    from ssat.pipeline.outputs import TrackFiles
    from ssat.pipeline.run import input_pipeline
    from ssat.pipeline.sinks import FeatureTable
    from ssat.tracking.baselines import make_tracker
    from ssat.tracking.explain import Explainer
    from ssat.tracking.long_memory import MIN_DIFFERENT
    from ssat.tracking.tracker import Tracker

    tracker = make_tracker(settings.tracker, settings.association, opened.frame_rate)
    detector, refiner = detectors
    video = settings.video and opened.source is not None
    explainer = None
    if options.explain is not None:
        if not isinstance(tracker, Tracker):
            raise InputError(f"explain: tracker {settings.tracker} explains nothing; expected tracker ssat or box")
        explainer = Explainer(options.explain, settings.association)
        tracker.observer = explainer
    cache = None
    if detectors == (None, None):
        cache = FeatureCache.of(opened, embedder, workspace.cache / "features", settings.embed_every)
    features = FeatureTable(0 if opened.detections is None else len(opened.detections))
    fill_gaps = round(settings.interpolate_seconds * opened.frame_rate)
    rate = opened.frame_rate if video else None
    files = TrackFiles(options.output, opened.name, video=rate, fill_gaps=fill_gaps, overwrite=options.overwrite)
    seen, stopped = _Seen(), None
    total = len(opened.numbers) if opened.numbers else getattr(opened.source, "n_frames", None)
    began = time.perf_counter()
    with progress_bar(f"track {opened.name}", total) as advance, files, Background(files.write) as writer:
        pipeline = input_pipeline(
            opened,
            tracker,
            embedder if cache is None or cache.known is None else cache.known,
            detector=detector,
            refiner=refiner,
            public=(settings.refine != "none" and settings.refinement.births == "public"),
            cache=workspace.cache / "detections",
            live=options.live is not None,
            images=video or options.explain is not None,
            sinks=(
                lambda frame, tracks: writer.submit(frame.number, frame.image, tracks, frame.lost),
                features,
                seen,
                lambda frame, tracks: _say_live(options, frame, tracks),
            ),
            before=None if explainer is None else explainer.seen,
            with_lost=settings.show_lost,
            embed_every=settings.embed_every,
        )
        try:
            for _ in pipeline:
                pipeline.seconds.draw = writer.seconds
                advance(1, _rates(opened.name, seen.frames, pipeline.seconds))
        except (KeyboardInterrupt, SystemExit, SsatError) as error:
            stopped = error
    pipeline.seconds.draw = writer.seconds
    elapsed = time.perf_counter() - began
    notes = _notes(opened, pipeline, seen)
    if video and getattr(opened.source, "has_sound", False):
        notes.append("the annotated video has pictures only: the input's sound is left out")
    if cache is not None and cache.known is not None:
        notes.append("the features of the detections were computed before, and taken from the cache")
    elif cache is not None and stopped is None and features.features is not None:
        cache.store(features.features, pipeline.seconds)
    if pipeline.reuse.reused:
        notes.append(
            f"{pipeline.reuse.reused} of {pipeline.reuse.total} features were taken over from the frame before "
            "(setting `embed_every`)"
        )
    calibration = tracker.method.calibration if isinstance(tracker, Tracker) else None
    if calibration is not None and calibration.fallback is not None:
        notes.append(calibration.fallback)
    memory = tracker.method.long_memory if isinstance(tracker, Tracker) else None
    if memory is not None and len(memory.different) < MIN_DIFFERENT:
        notes.append(
            f"no identity could be restored: {len(memory.different)} pairs of people in one frame, expected at least "
            f"{MIN_DIFFERENT}, to measure the distance of different people"
        )
    if stopped is not None:
        raise _told(stopped, seen.frames, files.results) from stopped
    explanation: str | None = None
    explained: tuple[Path, ...] = ()
    if explainer is not None:
        from ssat.report.explained import write_explanation

        explanation = explainer.text()
        explained = tuple(write_explanation(explainer, options.output, opened.name))
    used = detector or refiner
    seconds = pipeline.seconds
    return TrackedInput(
        name=opened.name,
        notes=tuple(notes),
        results=files.results,
        table=files.table,
        video=files.video if video else None,
        frames=seen.frames,
        identities=len(seen.identities),
        fps=round(seen.frames / elapsed, 2) if elapsed else 0.0,
        fps_by_stage={stage: round(rate, 1) for stage, rate in seconds.rates(seen.frames).items()},
        waiting_share=round(max(0.0, 1 - seconds.working / elapsed), 3) if elapsed else 0.0,
        filled=fill_gaps > 0,
        detector=None if used is None else (used.name, used.digest),
        beyond_the_paper=tuple(settings.extensions),
        explanation=explanation,
        explained=explained,
        regained=None if memory is None else memory.regained,
        fps_includes=_included(
            reading=video or embedder is not None or used is not None,
            detecting=used is not None,
            embedder=embedder,
            cached=cache is not None and cache.known is not None,
            video=video,
        ),
    )


def _included(
    *, reading: bool, detecting: bool, embedder: PatchEmbedder | None, cached: bool, video: bool
) -> tuple[str, ...]:
    """Return what the frames per second of the whole include, for people."""
    computed = "features from the cache" if cached else "embedding"
    return (
        "reading frames" if reading else "no images read",
        "detection" if detecting else "detections given",
        "no appearance" if embedder is None else computed,
        "association",
        "annotated video" if video else "no video",
    )


def _say_live(options: TrackOptions, frame: DetectedFrame, tracks: Tracks) -> None:
    if options.live is not None:
        options.live(LiveFrame.of(frame, tracks))


def _rates(name: str, frames: int, seconds: StageSeconds) -> str:
    rates = [f"{stage} {rate:.0f}" for stage, rate in seconds.rates(frames).items() if frames > 4]
    return f"track {name}" + (f" (fps: {', '.join(rates)})" if rates else "")


def _told(stopped: BaseException, frames: int, results: Path) -> BaseException:
    if isinstance(stopped, SsatError):
        where = f"; the {frames} frames before it are in {results}" if frames else ""
        return type(stopped)(f"{stopped}{where}")
    return stopped


def _notes(opened: TrackInput, pipeline: Pipeline, seen: _Seen) -> list[str]:
    from ssat.pipeline.detecting import GivenDetections

    notes = [*opened.notes, *getattr(opened.source, "notes", [])]
    if opened.source is None:
        notes.append("labels only, no frames: no video is written")
    if opened.detections is not None and isinstance(pipeline.detector, GivenDetections):
        unused = len(opened.detections) - seen.rows
        if unused:
            notes.append(f"{unused} detections stand beyond the last frame ({seen.frames}) and were not used")
    elif not seen.rows:
        notes.append("the detector found no person: the files are valid and empty")
    return notes
