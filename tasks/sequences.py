"""Detecting and tracking in one sequence of a benchmark, a Prefect task each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.mot.rows import MotRows, write_results
from ssat.pipeline.feature_cache import feature_key, load_features, store_features
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import committed
from tasks.benchmark import STAGES, Prepared
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from ssat.detection.detections import Detections
    from ssat.detection.detector import Detector
    from ssat.detection.refiner import Refiner
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.frames import StageSeconds
    from ssat.pipeline.pipeline import TrackedFrames
    from ssat.tracking.baselines import Baseline
    from ssat.tracking.tracker import Tracker
    from ssat.video.sources import ImageSource


@task(name="detect in sequence", task_run_name="detect in {name}", persist_result=False, cache_policy=NO_CACHE)
def detect_in_sequence(
    name: str, prepared: Prepared, settings: BenchmarkSettings, detector: Detector, cache: Path
) -> tuple[Prepared, float]:
    """The sequence with the detector's boxes instead of those that were given, and frames per second of detecting.

    Detections are kept in `cache`, so the rate counts only what was computed now; 0 where nothing was.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from ssat.detection.detector import detected
    from ssat.video.sources import read_ahead

    source = _source(prepared)
    counted = _Counted(detector)
    numbers, found = [], []
    with progress_bar(f"detect in {name}", len(prepared.frames)) as advance, closing(read_ahead(source)) as frames:  # type: ignore[type-var]
        for number, _, one in detected(frames, counted, cache=cache, content=source.content):
            numbers.append(number)
            found.append(one)
            advance()
    lengths = [len(one) for one in found]
    rows = MotRows(
        np.repeat(np.array(numbers, np.int64), lengths),
        np.full(sum(lengths), -1, np.int64),
        np.concatenate([one.boxes for one in found]),
        np.concatenate([one.scores for one in found]),
        np.ones(sum(lengths), np.int64),
    )
    public = settings.refine != "none" and settings.refinement.births == "public"
    refined = replace(
        prepared,
        detections=rows,
        public=prepared.detections if public else None,
        centres=np.concatenate([one.centres for one in found]),
        offsets=np.concatenate([one.offsets for one in found]),
    )
    return refined, counted.frames / counted.seconds if counted.seconds else 0.0


class _Counted:
    """A detector that counts what it computes."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.frames, self.seconds = detector, 0, 0.0
        self.name, self.digest, self.reads_previous = detector.name, detector.digest, detector.reads_previous
        self.batch, self.key = detector.batch, detector.key

    def __call__(self, images: Sequence[Any], previous: Any = None) -> list[Detections]:
        began = time.perf_counter()
        answer = self._detector(images, previous)
        self.seconds += time.perf_counter() - began
        self.frames += len(images)
        return answer


def _source(prepared: Prepared) -> ImageSource:
    from ssat.video.sources import ImageSource

    sequence = prepared.sequence
    paths = [sequence.image_path(frame) for frame in prepared.frames]
    size = (sequence.width, sequence.height)
    return ImageSource(sequence.name, sequence.frame_rate, paths, prepared.frames, size)


@task(name="track sequence", task_run_name="track {name}", persist_result=False, cache_policy=NO_CACHE)
def track_sequence(
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    folder: Path,
    features_folder: Path,
    embedder: PatchEmbedder | None,
    refiner: Refiner | None = None,
    detect_fps: float = 0.0,
) -> dict[str, Any]:
    """Tracks one sequence: writes its result file and its video into `folder`, its features into the cache.

    Does nothing where the same was done before. Gives the names of the files, the frames per second of each stage and
    "notes", where there are any.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from ssat.tracking.baselines import make_tracker
    from ssat.tracking.tracker import Tracker

    done = folder / f"{name}.json"
    if done.is_file():
        answer: dict[str, Any] = json.loads(done.read_text())
        return answer
    with progress_bar(f"track {name}", len(prepared.frames)) as advance:
        track = _track if refiner is None else partial(_track_in_the_loop, refiner)
        tracker = make_tracker(settings.tracker, settings.association, prepared.sequence.frame_rate)
        tracked, seconds, files = track(name, prepared, settings, tracker, folder, features_folder, embedder, advance)
    table = (tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
    if settings.interpolate_seconds > 0:
        from ssat.tracking.interpolate import interpolated

        table = interpolated(*table, round(settings.interpolate_seconds * prepared.sequence.frame_rate))
    write_results(folder / f"{name}.txt", *table)
    answer = {
        "results": f"{name}.txt",
        **files,
        "n_frames": tracked.n_frames,
        "n_detections": len(prepared.detections),
        "seconds": {stage: getattr(seconds, stage) for stage in STAGES},
    }
    if refiner is not None and seconds.detect:
        detect_fps = tracked.n_frames / seconds.detect
    if detect_fps:
        answer["detect_fps"] = round(detect_fps, 2)
    if isinstance(tracker, Tracker) and (calibration := tracker.method.calibration) and calibration.fallback:
        answer["notes"] = [calibration.fallback]
    with committed(done) as temporary:
        temporary.write_text(json.dumps(answer))
    return answer


def _track(
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    tracker: Tracker | Baseline,
    folder: Path,
    features_folder: Path,
    embedder: PatchEmbedder | None,
    advance: Any,
) -> tuple[TrackedFrames, StageSeconds, dict[str, str]]:
    from ssat.pipeline.frames import StageSeconds
    from ssat.pipeline.pipeline import track_frames
    from ssat.video.sources import read_ahead

    frames, detections = prepared.frames, prepared.detections
    key, cached = "", None
    if embedder is not None:
        key = feature_key(embedder.digest, embedder.input_size, prepared.images, detections)
        cached = load_features(features_folder, key, len(detections))
    with ExitStack() as stack:
        sink, files = _sink(stack, name, prepared, settings, folder, advance)
        pictured = bool(files) or settings.association.camera_motion
        if not pictured and (embedder is None or cached is not None):
            numbered: Iterable[Any] = ((frame, None) for frame in frames)
        else:
            numbered = stack.enter_context(closing(read_ahead(_source(prepared))))
        tracked = track_frames(
            numbered,
            detections,
            tracker,
            embedder=embedder,
            features=None if cached is None else cached.features,
            sink=sink,
            public=prepared.public,
            centres=prepared.centres,
            offsets=prepared.offsets,
        )
    if cached is not None:
        # What the features cost when they were computed: otherwise a second run would look faster than it is.
        seconds = StageSeconds(**{**asdict(cached.seconds), "associate": tracked.seconds.associate})
    elif embedder is not None:
        seconds = tracked.seconds
        if tracked.features is not None:
            store_features(features_folder, key, tracked.features, seconds)
    else:
        seconds = StageSeconds(associate=tracked.seconds.associate)
    return tracked, seconds, files


def _track_in_the_loop(
    refiner: Refiner,
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    tracker: Tracker | Baseline,
    folder: Path,
    features_folder: Path,
    embedder: PatchEmbedder | None,
    advance: Any,
) -> tuple[TrackedFrames, StageSeconds, dict[str, str]]:
    """Detections follow from the tracks, so neither they nor their features can be kept."""
    from ssat.pipeline.frames import StageSeconds, timed
    from ssat.pipeline.pipeline import Collected, in_the_loop
    from ssat.video.sources import read_ahead

    seconds, collected = StageSeconds(), Collected()
    public = prepared.detections if settings.refinement.births == "public" else None
    with ExitStack() as stack:
        sink, files = _sink(stack, name, prepared, settings, folder, advance)
        frames = stack.enter_context(closing(read_ahead(_source(prepared))))  # type: ignore[type-var]
        looped = in_the_loop(timed(frames, seconds), refiner, tracker, seconds, embedder=embedder, public=public)
        for frame, tracks in looped:
            collected.add(frame.number, tracks)
            sink(frame.number, frame.image, tracks)
    return collected.table(None, seconds), seconds, files


def _sink(
    stack: ExitStack, name: str, prepared: Prepared, settings: BenchmarkSettings, folder: Path, advance: Any
) -> tuple[Any, dict[str, str]]:
    """What takes each frame's tracks, and the files that it writes."""
    from ssat.video.annotated import AnnotatedVideo
    from ssat.video.pictures import write_png

    files: dict[str, str] = {}
    video = None
    if settings.video and prepared.sequence.image_folder is not None:
        files = {"video": f"{name}.mp4", "picture": f"{name}.png"}
        video = stack.enter_context(AnnotatedVideo(folder / files["video"], prepared.sequence.frame_rate))
    middle = prepared.frames[len(prepared.frames) // 2]

    def sink(number: int, image: Any, tracks: Any) -> None:
        if video is not None:
            video.write(number, image, tracks)
            if number == middle and video.picture is not None:
                write_png(video.picture, folder / files["picture"])
        advance()

    return sink, files
