"""Tracking and scoring of MOTChallenge sequences, one Prefect task a sequence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from ssat.embedding.embedder import Embedder
    from ssat.tracking.pipeline import StageSeconds, TrackedFrames

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
        if settings.tracker == "ssat" and sequence.image_folder is None:
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
    if sequence.image_folder is not None and (settings.tracker == "ssat" or settings.video):
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


def data_digest(prepared: Iterable[Prepared]) -> str:
    """SHA-256 over everything that is read of the sequences: the MLflow dataset digest."""
    return hashlib.sha256("".join(one.digest for one in prepared).encode()).hexdigest()


def benchmark_folder(
    workspace: Workspace, settings: BenchmarkSettings, prepared: list[Prepared], embedder_digest: str | None
) -> Path:
    """Where this benchmark lies: one folder per data, settings and embedder, so that the same one is done once."""
    # Where the data lies and how the embedder was named change nothing; what they hold is in the digests.
    chosen = settings.model_dump(mode="json", exclude={"mot", "embedder", "sequences"})
    key = json.dumps([_VERSION, chosen, embedder_digest, data_digest(prepared)], sort_keys=True)
    return workspace.benchmark / hashlib.sha256(key.encode()).hexdigest()[:16]


@task(name="track sequence", task_run_name="track {name}", persist_result=False, cache_policy=NO_CACHE)
def track_sequence(
    name: str,
    prepared: Prepared,
    settings: BenchmarkSettings,
    folder: Path,
    features_folder: Path,
    embedder: Embedder | None,
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
        tracked, seconds, files = _track(name, prepared, settings, folder, features_folder, embedder, advance)
    write_results(folder / f"{name}.txt", tracked.frames, tracked.ids, tracked.boxes, tracked.scores)
    answer = {
        "results": f"{name}.txt",
        **files,
        "n_frames": tracked.n_frames,
        "n_detections": len(prepared.detections),
        "seconds": {stage: getattr(seconds, stage) for stage in _STAGES},
    }
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

    from ssat.report.sheets import write_png
    from ssat.report.video import AnnotatedVideo
    from ssat.tracking import Tracker
    from ssat.tracking.pipeline import StageSeconds, track_frames
    from ssat.tracking.sources import ImageSource, read_ahead

    sequence, frames, detections = prepared.sequence, prepared.frames, prepared.detections
    key, cached = "", None
    if embedder is not None:
        key = feature_key(embedder.digest, embedder.input_size, prepared.images, detections)
        cached = load_features(features_folder, key, len(detections))
    files: dict[str, str] = {}
    with ExitStack() as stack:
        video = None
        if settings.video and sequence.image_folder is not None:
            files = {"video": f"{name}.mp4", "picture": f"{name}.png"}
            video = stack.enter_context(AnnotatedVideo(folder / files["video"], sequence.frame_rate))

        def sink(number: int, image: Any, tracks: Any) -> None:
            if video is not None:
                video.write(number, image, tracks)
                if number == frames[len(frames) // 2] and video.picture is not None:
                    write_png(video.picture, folder / files["picture"])
            advance()

        if video is None and (embedder is None or cached is not None):
            numbered: Iterable[Any] = ((frame, None) for frame in frames)
        else:
            paths = [sequence.image_path(frame) for frame in frames]
            size = (sequence.width, sequence.height)
            source = ImageSource(name, sequence.frame_rate, paths, frames, size)
            numbered = stack.enter_context(closing(read_ahead(source)))
        tracked = track_frames(
            numbered,
            detections,
            Tracker(settings.association, sequence.frame_rate),
            embedder=embedder,
            features=None if cached is None else cached.features,
            sink=sink,
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
    return {
        "fps": round(n_frames / total, 2) if total else 0.0,
        "fps_by_stage": {stage: round(n_frames / value, 1) for stage, value in seconds.items() if value},
        "frames": n_frames,
        "detections": sum(answer["n_detections"] for answer in answers),
    }
