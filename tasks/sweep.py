"""A sweep over the tracker's constants, on Ray, from features that are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError
from ssat.mot.protocols import Protocol
from ssat.mot.rows import MotRows
from ssat.mot.score_values import Scores
from ssat.mot.scores import ToScore
from ssat.pipeline.benchmark_inputs import Prepared
from ssat.pipeline.feature_cache import feature_key, load_features, rows_digest
from ssat.pipeline.inputs import read_frames
from ssat.studies.sweep import SweepSequence
from ssat.tracking import TrackerConfig
from ssat.tracking.camera_motion import CameraMotion
from ssat.workspace import committed
from tasks.progress import progress_bar

_CAMERA_VERSION = 1  # part of the key: raise it when the estimate changes
_CHUNK = 8  # points of one piece of work: long enough to be worth a message


def sweep_sequences(
    prepared: Sequence[Prepared], digest: str, input_size: int | tuple[int, int], features_folder: Path
) -> list[SweepSequence]:
    """Return the sequences with their features from the cache, where a benchmark of the same embedder has left them.

    Raises:
        InputError: they are not there (the cache was emptied meanwhile).
    """
    found = []
    for entry in prepared:
        key = feature_key(digest, input_size, entry.images, entry.detections)
        cached = load_features(features_folder, key, len(entry.detections))
        if cached is None:
            raise InputError(f"{features_folder}: the features of {entry.sequence.name} are gone; run the study again")
        none = MotRows(*(column[:0] for column in _columns(entry.detections)))
        to_score = ToScore(entry.truth, none, entry.frames, entry.sequence.rules)
        sequence = entry.sequence
        found.append(SweepSequence(sequence.name, sequence.frame_rate, entry.detections, cached.features, to_score))
    return found


def with_camera(sequences: Sequence[SweepSequence], prepared: Sequence[Prepared], cache: Path) -> list[SweepSequence]:
    """Return the sequences with the motion of their background, estimated once for all trials and kept in `cache`.

    Raises:
        InputError: a frame that cannot be decoded.
    """
    return [
        replace(sequence, camera=_camera(entry, cache)) for sequence, entry in zip(sequences, prepared, strict=True)
    ]


def _camera(prepared: Prepared, cache: Path) -> dict[int, NDArray[np.float64]]:
    key = hashlib.sha256(f"{_CAMERA_VERSION} {prepared.images} {rows_digest(prepared.detections)}".encode()).hexdigest()
    path = cache / f"{key[:32]}.npy"
    if path.is_file():
        maps = np.load(path, allow_pickle=False)
    else:
        estimator, rows, found = CameraMotion(), prepared.detections, []
        source = prepared.sequence.frame_source(prepared.frames)
        with progress_bar(f"camera motion in {prepared.sequence.name}", len(prepared.frames)) as advance:
            for number, image in read_frames(source, prepared.frames):
                assert image is not None  # noqa: S101 - the source reads them; for the type checker
                found.append(estimator.estimate(image, rows.boxes[rows.frames == number]))
                advance()
        maps = np.stack(found)
        cache.mkdir(parents=True, exist_ok=True)
        with committed(path) as temporary, temporary.open("wb") as file:
            np.save(file, maps)
    return dict(zip(prepared.frames, maps, strict=True))


@task(name="sweep", persist_result=False, cache_policy=NO_CACHE)
def sweep(
    sequences: Sequence[SweepSequence],
    base: TrackerConfig,
    points: Sequence[tuple[float, ...]],
    protocol: Protocol,
) -> list[Scores]:
    """Return scores at every point, in their order."""
    import ray

    from tasks.ray_work import Share, run_bounded, share_cluster

    shared = ray.put(list(sequences))
    chunks = [(start, list(points[start : start + _CHUNK])) for start in range(0, len(points), _CHUNK)]
    jobs = [(shared, start, chunk, base, protocol) for start, chunk in chunks]
    share = Share(1, share_cluster(len(jobs), most_threads=0).in_flight)
    scores: dict[int, Scores] = {}
    with progress_bar("points of the sweep", len(points)) as advance:
        for (_, start, chunk, _, _), answer in run_bounded(_score_chunk, jobs, share):
            scores |= dict(enumerate(answer, start))
            for _ in chunk:
                advance()
    return [scores[at] for at in range(len(points))]


def _score_chunk(job: tuple[Any, int, list[tuple[float, ...]], TrackerConfig, Protocol], threads: int) -> list[Scores]:
    import ray

    from ssat.studies.sweep import score_point

    shared, _, points, base, protocol = job
    sequences = ray.get(shared)
    return [score_point(sequences, base, point, protocol) for point in points]


def _columns(rows: MotRows) -> tuple[Any, ...]:
    return rows.frames, rows.ids, rows.boxes, rows.scores, rows.classes
