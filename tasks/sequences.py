"""Detecting and tracking in one sequence of a benchmark, a Prefect task each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.mot.rows import write_results
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.feature_cache import CachedFeatures, feature_key, load_features, store_features
from ssat.pipeline.sequence_result import SequenceResult, result_path
from ssat.pipeline.settings import BenchmarkSettings
from ssat.pipeline.stage_seconds import StageSeconds
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.detections import Detections
    from ssat.detection.detector import Detector
    from ssat.embedding.protocol import PatchEmbedder
    from ssat.pipeline.frames import DetectedFrame
    from ssat.pipeline.pipeline import Pipeline
    from ssat.pipeline.sinks import Sink
    from ssat.tracking.baselines import Baseline
    from ssat.tracking.tracker import Tracker, Tracks
    from ssat.video.sources import Image


@task(name="detect in sequence", task_run_name="detect in {name}", persist_result=False, cache_policy=NO_CACHE)
def detect_in_sequence(
    name: str, prepared: Prepared, settings: BenchmarkSettings, detector: Detector, cache: Path
) -> tuple[Prepared, float]:
    """Return the sequence with the detector's boxes, and frames per second of detecting.

    Detections are kept in `cache`, so the rate counts only what was computed now; 0 if nothing was.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from ssat.pipeline.detecting import detect_all

    counted = _Counted(detector)
    with progress_bar(f"detect in {name}", len(prepared.frames)) as advance:
        found = detect_all(prepared.sequence.frame_source(prepared.frames), counted, cache, advance)
    public = settings.refine != "none" and settings.refinement.births == "public"
    refined = replace(
        prepared,
        detections=found.rows,
        public=prepared.detections if public else None,
        centres=found.centres,
        offsets=found.offsets,
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


@task(name="track sequence", task_run_name="track {name}", persist_result=False, cache_policy=NO_CACHE)
def track_sequence(
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    folder: Path,
    features_folder: Path,
    embedder: PatchEmbedder | None,
    refiner: CenterTrackDetector | None = None,
    detect_fps: float = 0.0,
) -> SequenceResult:
    """Track one sequence: write its result file and its video into `folder`, its features into the cache.

    Does nothing where the same was done before.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from ssat.pipeline.sinks import FeatureTable, ResultTable
    from ssat.tracking.baselines import make_tracker
    from ssat.tracking.tracker import Tracker

    done = result_path(folder, name)
    if done.is_file():
        return SequenceResult.read(done)
    frame_rate = prepared.sequence.frame_rate
    tracker = make_tracker(settings.tracker, settings.association, frame_rate)
    # If the tracks lead the detector, neither detections nor features can be cached.
    key = None
    if embedder is not None and refiner is None:
        key = feature_key(embedder.digest, embedder.input_size, prepared.images, prepared.detections)
    cached = None if key is None else load_features(features_folder, key, len(prepared.detections))
    table = ResultTable(round(settings.interpolate_seconds * frame_rate))
    features = FeatureTable(len(prepared.detections))
    with progress_bar(f"track {name}", len(prepared.frames)) as advance, ExitStack() as stack:
        draw, files = _drawing(stack, name, prepared, settings, folder)
        sinks: list[Sink] = [table, features, *draw, lambda frame, tracks: advance()]
        pipeline = sequence_pipeline(prepared, settings, tracker, embedder, cached, refiner, sinks, images=bool(files))
        seconds = pipeline.run()
    tracked = table.tracked(features.features, seconds)
    if cached is not None:
        # The time of the original computation of the features: otherwise a second run would appear faster.
        seconds = replace(cached.seconds, associate=seconds.associate)
    elif key is not None and tracked.features is not None:
        store_features(features_folder, key, tracked.features, seconds)
    elif embedder is None and refiner is None:
        seconds = StageSeconds(associate=seconds.associate)
    write_results(folder / f"{name}.txt", tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
    if refiner is not None and seconds.detect:
        detect_fps = tracked.n_frames / seconds.detect
    calibration = tracker.method.calibration if isinstance(tracker, Tracker) else None
    result = SequenceResult(
        results=f"{name}.txt",
        n_frames=tracked.n_frames,
        n_detections=len(prepared.detections),
        seconds=StageSeconds(**seconds.of_tracker),
        video=files.get("video"),
        picture=files.get("picture"),
        detect_fps=round(detect_fps, 2) if detect_fps else None,
        notes=() if calibration is None or calibration.fallback is None else (calibration.fallback,),
    )
    result.write(done)
    return result


def sequence_pipeline(
    prepared: Prepared,
    settings: BenchmarkSettings,
    tracker: Tracker | Baseline,
    embedder: PatchEmbedder | None,
    cached: CachedFeatures | None,
    refiner: CenterTrackDetector | None,
    sinks: Sequence[Sink],
    *,
    images: bool,
    before: Callable[[int, Image | None], None] | None = None,
    live: bool = False,
) -> Pipeline:
    """Return the pipeline that tracks a sequence of a benchmark.

    Args:
        prepared: the sequence.
        settings: of the benchmark.
        tracker: associates.
        embedder: computes features, where they are not known.
        cached: features that are known.
        refiner: detects, led by the tracks.
        sinks: take each frame and its tracks.
        images: frames are read in any case.
        before: called with number and image of every frame before it is associated.
        live: no frame waits for another.
    """
    from ssat.pipeline.appearance import KnownFeatures
    from ssat.pipeline.detecting import ClosedLoop, FrameDetector, GivenDetections
    from ssat.pipeline.inputs import read_frames
    from ssat.pipeline.pipeline import Pipeline, moves_with_camera

    detector: FrameDetector
    if refiner is not None:
        detector = ClosedLoop(refiner, prepared.detections if settings.refinement.births == "public" else None)
    else:
        detector = GivenDetections(prepared.detections, prepared.public, prepared.centres, prepared.offsets)
    known = embedder if cached is None else KnownFeatures(cached.features)
    images = images or moves_with_camera(tracker) or refiner is not None or (embedder is not None and cached is None)
    source = prepared.sequence.frame_source(prepared.frames) if images else None
    frames = read_frames(source, prepared.frames)
    return Pipeline(frames, detector, tracker, known, sinks, before=before, live=live)


def _drawing(
    stack: ExitStack, name: str, prepared: Prepared, settings: BenchmarkSettings, folder: Path
) -> tuple[list[Sink], dict[str, str]]:
    """Return the sink of the video and a picture of its middle, if enabled, and the names of both."""
    if not settings.video or not prepared.sequence.has_frames:
        return [], {}
    from ssat.video.annotated import AnnotatedVideo
    from ssat.video.pictures import write_png

    files = {"video": f"{name}.mp4", "picture": f"{name}.png"}
    video = stack.enter_context(AnnotatedVideo(folder / files["video"], prepared.sequence.frame_rate))
    middle = prepared.frames[len(prepared.frames) // 2]

    def draw(frame: DetectedFrame, tracks: Tracks) -> None:
        assert frame.image is not None  # noqa: S101 - the pipeline reads them; for the type checker
        video.write(frame.number, frame.image, tracks)
        if frame.number == middle and video.picture is not None:
            write_png(video.picture, folder / files["picture"])

    return [draw], files
