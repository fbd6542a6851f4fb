"""Which sequences a benchmark tracks, where it lies, and how its results score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.mot.feature_cache import images_digest, rows_digest
from ssat.mot.rows import MotRows, read_results
from ssat.mot.scores import ToScore, score
from ssat.mot.sequence import MotSequence, find_sequences
from ssat.mot.settings import BenchmarkSettings
from ssat.mot.splits import split_frames
from ssat.workspace import Workspace
from tasks.services import available_cpus

# Part of every key: raise it when the tracker, the protocols or the drawing change what a benchmark gives.
_VERSION = 2
RESULT_FILE = "benchmark.json"
STAGES = ("read", "patches", "embed", "associate")


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
    detections = sequence.detections(settings.detections).within(frames)
    if settings.min_score is not None:
        detections = detections.select(detections.scores >= settings.min_score)
    truth = sequence.ground_truth().within(frames)
    if not len(truth):
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
        to_score[name] = ToScore(one.truth, results, one.frames, one.sequence.rules)
    scores, overall = score(to_score, settings.protocol, available_cpus())
    sequences = {name: {**scores[name].to_dict(), **_speed([answer])} for name, answer in tracked.items()}
    return sequences, {**overall.to_dict(), **_speed(list(tracked.values()))}


def _speed(answers: list[dict[str, Any]]) -> dict[str, Any]:
    n_frames = sum(answer["n_frames"] for answer in answers)
    seconds = {stage: sum(answer["seconds"][stage] for answer in answers) for stage in STAGES}
    total = sum(seconds.values())
    rates = [answer["detect_fps"] for answer in answers if "detect_fps" in answer]
    detecting = {"detect": round(len(rates) / sum(1 / rate for rate in rates), 2)} if rates else {}
    return {
        "fps": round(n_frames / total, 2) if total else 0.0,
        "fps_by_stage": {stage: round(n_frames / value, 1) for stage, value in seconds.items() if value} | detecting,
        "frames": n_frames,
        "detections": sum(answer["n_detections"] for answer in answers),
    }
