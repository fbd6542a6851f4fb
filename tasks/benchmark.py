"""Tracking and scoring of MOTChallenge sequences, one Prefect task a sequence."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.mot.feature_cache import feature_key, images_digest, load_features, rows_digest, store_features
from ssat.mot.rows import MotRows, read_results, write_results
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence, find_sequences
from ssat.mot.settings import BenchmarkSettings
from ssat.mot.splits import split_frames
from ssat.workspace import Workspace, committed
from tasks.progress import progress_bar

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ssat.detection.detections import Detections
    from ssat.detection.detector import Detector
    from ssat.detection.refiner import Refiner
    from ssat.embedding.embedder import Embedder
    from ssat.tracking.frames import StageSeconds
    from ssat.tracking.pipeline import TrackedFrames
    from ssat.tracking.sources import ImageSource

# Part of every key: raise it when the tracker, the protocols or the drawing change what a benchmark gives.
_VERSION = 1
RESULT_FILE = "benchmark.json"
_STAGES = ("read", "patches", "embed", "associate")


@dataclass(frozen=True)
class Prepared:
    """A sequence that can be tracked: read, checked and cut to the split."""

    sequence: MotSequence
    frames: range
    detections: MotRows
    truth: MotRows
    images: str  # digest of the frames; empty where none are needed
    digest: str  # of everything that is read of the sequence
    public: MotRows | None = None  # boxes near which tracks may begin, where a detector replaced them
    centres: np.ndarray | None = None  # (n, 2) of the detector's boxes

    @property
    def mot20(self) -> bool:
        """MOT20 has one more class of distractors."""
        return self.sequence.name.startswith("MOT20")


def prepare(settings: BenchmarkSettings) -> tuple[list[Prepared], dict[str, str]]:
    """The sequences that can be tracked, and those that cannot with the reason.

    A sequence without frames is left out where appearance is asked for. Everything else is checked before any work is
    done: a fault in the last sequence is not found after an hour.

    Raises:
        InputError: no sequence, or a detection file, ground truth or set of frames that does not fit.
    """
    sequences = find_sequences(Path(settings.mot).expanduser(), settings.sequences)
    by_folder = {sequence.name: sequence.folder for sequence in sequences}
    for sequence in sequences:
        if by_folder[sequence.name] != sequence.folder:
            raise InputError(f"{sequence.folder} and {by_folder[sequence.name]} are both called {sequence.name}")
    prepared: list[Prepared] = []
    skipped: dict[str, str] = {}
    for sequence in sequences:
        if sequence.image_folder is None and _detects(settings):
            skipped[sequence.name] = "labels only, no frames (img1): there is nothing to detect in"
        elif settings.tracker == "ssat" and sequence.image_folder is None:
            skipped[sequence.name] = "labels only, no frames (img1): appearance needs frames; --tracker box does not"
        else:
            prepared.append(_prepare_one(sequence, settings))
    if not prepared:
        raise InputError(
            f"{settings.mot}: {', '.join(skipped)}: no folder of frames (img1); appearance needs the frames, "
            "the box tracker (--tracker box) does not"
        )
    return prepared, skipped


def _prepare_one(sequence: MotSequence, settings: BenchmarkSettings) -> Prepared:
    frames = split_frames(sequence.n_frames, settings.split)
    detections = sequence.detections(settings.detections).within(frames)
    if settings.min_score is not None:
        detections = detections.select(detections.scores >= settings.min_score)
    truth = sequence.ground_truth().within(frames)
    if not len(truth):
        raise InputError(
            f"{sequence.folder}: no ground truth in frames {frames.start} … {frames.stop - 1} (split {settings.split})"
        )
    images = ""
    if sequence.image_folder is not None and (settings.tracker == "ssat" or settings.video or _detects(settings)):
        sequence.check_images(frames)
        images = images_digest([sequence.image_path(frame) for frame in frames])
    labels = [truth.ids, truth.classes]
    content = [sequence.name, sequence.frame_rate, sequence.width, sequence.height, list(frames)[:1], images]
    digest = hashlib.sha256(json.dumps(content).encode())
    for rows in (detections, truth):
        digest.update(rows_digest(rows).encode())
    for column in labels:
        digest.update(column.tobytes())
    return Prepared(sequence, frames, detections, truth, images, digest.hexdigest())


def _detects(settings: BenchmarkSettings) -> bool:
    return settings.detector is not None or settings.refine != "none"


def data_digest(prepared: Iterable[Prepared]) -> str:
    """SHA-256 over everything that is read of the sequences: the MLflow dataset digest."""
    return hashlib.sha256("".join(one.digest for one in prepared).encode()).hexdigest()


def benchmark_folder(
    workspace: Workspace,
    settings: BenchmarkSettings,
    prepared: list[Prepared],
    embedder_digest: str | None,
    detector_digest: str | None = None,
) -> Path:
    """Where this benchmark lies: one folder per data, settings and networks, so that the same one is done once."""
    # Where the data lies and how the networks were named change nothing; what they hold is in the digests.
    chosen = settings.model_dump(
        mode="json", exclude={"mot": True, "embedder": True, "sequences": True, "refinement": {"checkpoint"}}
    )
    key = json.dumps([_VERSION, chosen, embedder_digest, detector_digest, data_digest(prepared)], sort_keys=True)
    return workspace.benchmark / hashlib.sha256(key.encode()).hexdigest()[:16]


@task(name="detect in sequence", task_run_name="detect in {name}", persist_result=False, cache_policy=NO_CACHE)
def detect_in_sequence(
    name: str, prepared: Prepared, settings: BenchmarkSettings, detector: Detector, cache: Path
) -> tuple[Prepared, float]:
    """The sequence with the detector's boxes instead of those that were given, and frames per second of detecting.

    Detections are kept in `cache`, so the rate counts only what was computed now; 0 where nothing was.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    from contextlib import closing

    from ssat.detection.detector import detected
    from ssat.tracking.sources import read_ahead

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
    from ssat.tracking.sources import ImageSource

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
    embedder: Embedder | None,
    refiner: Refiner | None = None,
    detect_fps: float = 0.0,
) -> dict[str, Any]:
    """Tracks one sequence: writes its result file and its video into `folder`, its features into the cache.

    Does nothing where the same was done before. Gives the names of the files and the frames per second of each stage.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    done = folder / f"{name}.json"
    if done.is_file():
        answer: dict[str, Any] = json.loads(done.read_text())
        return answer
    with progress_bar(f"track {name}", len(prepared.frames)) as advance:
        track = _track if refiner is None else partial(_track_in_the_loop, refiner)
        tracked, seconds, files = track(name, prepared, settings, folder, features_folder, embedder, advance)
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
        "seconds": {stage: getattr(seconds, stage) for stage in _STAGES},
    }
    if refiner is not None and seconds.detect:
        detect_fps = tracked.n_frames / seconds.detect
    if detect_fps:
        answer["detect_fps"] = round(detect_fps, 2)
    with committed(done) as temporary:
        temporary.write_text(json.dumps(answer))
    return answer


def _track(
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    folder: Path,
    features_folder: Path,
    embedder: Embedder | None,
    advance: Any,
) -> tuple[TrackedFrames, StageSeconds, dict[str, str]]:
    from contextlib import ExitStack, closing

    from ssat.tracking import Tracker
    from ssat.tracking.frames import StageSeconds
    from ssat.tracking.pipeline import track_frames
    from ssat.tracking.sources import read_ahead

    sequence, frames, detections = prepared.sequence, prepared.frames, prepared.detections
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
            Tracker(settings.association, sequence.frame_rate),
            embedder=embedder,
            features=None if cached is None else cached.features,
            sink=sink,
            public=prepared.public,
            centres=prepared.centres,
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
    folder: Path,
    features_folder: Path,
    embedder: Embedder | None,
    advance: Any,
) -> tuple[TrackedFrames, StageSeconds, dict[str, str]]:
    """Detections follow from the tracks, so neither they nor their features can be kept."""
    from contextlib import ExitStack, closing

    from ssat.tracking import Tracker
    from ssat.tracking.frames import StageSeconds, timed
    from ssat.tracking.pipeline import Collected, in_the_loop
    from ssat.tracking.sources import read_ahead

    seconds, collected = StageSeconds(), Collected()
    public = prepared.detections if settings.refinement.births == "public" else None
    tracker = Tracker(settings.association, prepared.sequence.frame_rate)
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
    from ssat.report.sheets import write_png
    from ssat.report.video import AnnotatedVideo

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


@task(name="score results", persist_result=False, cache_policy=NO_CACHE)
def score_benchmark(
    prepared: list[Prepared], settings: BenchmarkSettings, folder: Path, tracked: dict[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Scores per sequence and overall, with frames per second and those of each stage.

    What is scored is what stands in the result files.
    """
    to_score = {}
    for one in prepared:
        name = one.sequence.name
        results = read_results(folder / tracked[name]["results"], one.sequence.n_frames)
        to_score[name] = ToScore(one.truth, results, one.frames, one.mot20)
    scores, overall = score(to_score, settings.protocol)
    sequences = {name: {**scores[name].to_dict(), **_speed([answer])} for name, answer in tracked.items()}
    return sequences, {**overall.to_dict(), **_speed(list(tracked.values()))}


def _speed(answers: list[dict[str, Any]]) -> dict[str, Any]:
    n_frames = sum(answer["n_frames"] for answer in answers)
    seconds = {stage: sum(answer["seconds"][stage] for answer in answers) for stage in _STAGES}
    total = sum(seconds.values())
    rates = [answer["detect_fps"] for answer in answers if "detect_fps" in answer]
    detecting = {"detect": round(len(rates) / sum(1 / rate for rate in rates), 2)} if rates else {}
    return {
        "fps": round(n_frames / total, 2) if total else 0.0,
        "fps_by_stage": {stage: round(n_frames / value, 1) for stage, value in seconds.items() if value} | detecting,
        "frames": n_frames,
        "detections": sum(answer["n_detections"] for answer in answers),
    }
