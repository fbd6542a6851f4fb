"""Which sequences a benchmark tracks, where it lies, and how its results score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.rows import NO_ROWS, MotRows, read_results
from ssat.mot.scores import Scoring, ToScore
from ssat.mot.sequence import MotSequence, by_public_detector
from ssat.mot.splits import split_frames
from ssat.mot.submission import check_submission, write_submission
from ssat.pipeline.ceiling import CeilingInput, Ceilings
from ssat.pipeline.feature_cache import images_digest, rows_digest
from ssat.pipeline.sequence_result import STAGES, SequenceResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.services import available_cpus

# Part of every key: raise it when the tracker, the protocols or the drawing change what a benchmark gives.
VERSION = 2
# Part of the key of benchmarks alone: raise it when their result tells more; tracked sequences stay.
_TOLD = "ceiling"
# Where the data lies, how networks were named and how the work was shared out change nothing; what data and networks
# hold is in the digests.
NOT_IN_KEY: dict[str, Any] = {
    "mot": True,
    "embedder": True,
    "reid": True,
    "sequences": True,
    "side_by_side": True,
    "refinement": {"checkpoint"},
}
RESULT_FILE = "benchmark.json"
SUBMISSION_FILE = "submission.zip"


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
    offsets: np.ndarray | None = None  # (n, 2) from there to the frame before, likewise


def sequences_of(settings: BenchmarkSettings) -> list[MotSequence]:
    """The sequences that a benchmark means: below `mot`, a home folder's ~ included, of the part of its split.

    Raises:
        InputError: there are none, or one that is asked for is missing.
    """
    part: Literal["train", "test"] = "test" if settings.split == "test" else "train"
    return find_sequences(Path(settings.mot).expanduser(), settings.sequences, part=part)


def prepare(settings: BenchmarkSettings) -> tuple[list[Prepared], dict[str, str]]:
    """The sequences that can be tracked, and those that cannot with the reason.

    A sequence without frames is left out where appearance is asked for. Everything else is checked before any work is
    done: a fault in the last sequence is not found after an hour.

    Raises:
        InputError: no sequence, or a detection file, ground truth or set of frames that does not fit.
    """
    sequences = sequences_of(settings)
    by_folder = {sequence.name: sequence.folder for sequence in sequences}
    for sequence in sequences:
        if by_folder[sequence.name] != sequence.folder:
            raise InputError(f"{sequence.folder} and {by_folder[sequence.name]} are both called {sequence.name}")
    prepared: list[Prepared] = []
    skipped: dict[str, str] = {}
    for sequence in sequences:
        if sequence.image_folder is None and _detects(settings):
            skipped[sequence.name] = "labels only, no frames (img1): there is nothing to detect in"
        elif settings.needs_appearance and sequence.image_folder is None:
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
    detections = _given_detections(sequence, settings).within(frames)
    if settings.min_score is not None:
        detections = detections.select(detections.scores >= settings.min_score)
    truth = NO_ROWS if settings.split == "test" else sequence.ground_truth().within(frames)
    if not len(truth) and settings.split != "test":
        raise InputError(
            f"{sequence.folder}: no ground truth in frames {frames.start} … {frames.stop - 1} (split {settings.split})"
        )
    images = ""
    if sequence.image_folder is not None and (settings.needs_appearance or settings.video or _detects(settings)):
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


def _given_detections(sequence: MotSequence, settings: BenchmarkSettings) -> MotRows:
    # Where a network detects, public boxes are looked at for births alone; not every data set has them.
    needed = not _detects(settings) or (settings.refine != "none" and settings.refinement.births == "public")
    if needed or sequence.detection_path(settings.detections).is_file():
        return sequence.detections(settings.detections)
    return NO_ROWS


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
    chosen = settings.model_dump(mode="json", exclude=NOT_IN_KEY)
    key = json.dumps([VERSION, _TOLD, chosen, embedder_digest, detector_digest, data_digest(prepared)], sort_keys=True)
    return workspace.benchmark / hashlib.sha256(key.encode()).hexdigest()[:16]


@task(name="score results", persist_result=False, cache_policy=NO_CACHE)
def score_benchmark(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    folder: Path,
    tracked: dict[str, SequenceResult],
    detected: Mapping[str, MotRows],
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]], dict[str, Any]]:
    """Scores per sequence, per public detector of MOT17 where there are several, and overall, with frames per second.

    What is scored is what stands in the result files. Of the split `test` there is speed alone.

    Args:
        detected: sequence → the detections that were tracked, for the ceiling; empty where the tracks lead the
            detector, so that no other association would have had the same ones.
    """
    if settings.split == "test":
        return {name: _speed([answer]) for name, answer in tracked.items()}, {}, _speed(list(tracked.values()))
    to_score, ceilings = {}, None
    if detected:
        inputs = {
            one.sequence.name: CeilingInput(
                detected[one.sequence.name], one.truth, one.frames, one.sequence.rules, one.sequence.frame_rate
            )
            for one in prepared
        }
        ceilings = Ceilings(inputs, settings.protocol, available_cpus())
    for one in prepared:
        name = one.sequence.name
        results = read_results(folder / tracked[name].results, one.sequence.n_frames)
        to_score[name] = ToScore(one.truth, results, one.frames, one.sequence.rules)
    scoring = Scoring(to_score, settings.protocol, available_cpus())

    def over(names: Iterable[str]) -> dict[str, Any]:
        names = list(names)
        scores = scoring.over(*names)
        ceiling = {} if ceilings is None else ceilings.over(*names).to_dict(scores.idf1)
        return {**scores.to_dict(), **ceiling, **_speed([tracked[name] for name in names])}

    sequences = {name: over([name]) for name in tracked}
    detectors = {detector: over(names) for detector, names in by_public_detector(tracked).items()}
    return sequences, detectors, over(list(tracked))


def pack_submission(folder: Path, tracked: dict[str, SequenceResult]) -> dict[str, Any]:
    """The result files as a zip for the server, and what it would say: "file", "benchmark", "faults", "warnings"."""
    path = write_submission(folder / SUBMISSION_FILE, {name: folder / one.results for name, one in tracked.items()})
    return {"file": SUBMISSION_FILE, **asdict(check_submission(path))}


def _speed(tracked: list[SequenceResult]) -> dict[str, Any]:
    n_frames = sum(one.n_frames for one in tracked)
    seconds = {stage: sum(one.seconds[stage] for one in tracked) for stage in STAGES}
    total = sum(seconds.values())
    rates = [one.detect_fps for one in tracked if one.detect_fps is not None]
    detecting = {"detect": round(len(rates) / sum(1 / rate for rate in rates), 2)} if rates else {}
    return {
        "fps": round(n_frames / total, 2) if total else 0.0,
        "fps_by_stage": {stage: round(n_frames / value, 1) for stage, value in seconds.items() if value} | detecting,
        "frames": n_frames,
        "detections": sum(one.n_detections for one in tracked),
    }
