"""The tracker's settings against scores, from known features: points of a grid, and any settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssat.mot.protocols import Protocol
from ssat.mot.rows import MotRows
from ssat.mot.score_values import Scores
from ssat.mot.scores import ToScore, score
from ssat.pipeline.pipeline import track_frames
from ssat.studies.settings import ThresholdsStudySettings
from ssat.tracking import Tracker, TrackerConfig

PARAMETERS = ("tau1", "tau2", "alpha", "beta")


@dataclass(frozen=True)
class SweepSequence:
    """A sequence whose detections have their features already.

    Attributes:
        to_score: labels and the frames that count; its results are replaced.
        features: (n detections, F).
        camera: number of a frame → (2, 3) motion of the background; None: not estimated.
    """

    name: str
    frame_rate: float
    detections: MotRows
    features: NDArray[np.float32]
    to_score: ToScore
    camera: Mapping[int, NDArray[np.float64]] | None = None


def grid_points(settings: ThresholdsStudySettings) -> list[tuple[float, ...]]:
    """Return every combination of tau1, tau2, alpha and beta; the last one varies fastest."""
    return list(itertools.product(*(getattr(settings, name) for name in PARAMETERS)))


def score_point(
    sequences: Sequence[SweepSequence], base: TrackerConfig, point: Sequence[float], protocol: Protocol
) -> Scores:
    """Return scores over all sequences with `base` at one point of the grid."""
    return score_config(sequences, base.model_copy(update=dict(zip(PARAMETERS, point, strict=True))), protocol)


def score_config(
    sequences: Sequence[SweepSequence], config: TrackerConfig, protocol: Protocol, interpolate_seconds: float = 0.0
) -> Scores:
    """Return scores over all sequences with `config`; gaps of up to `interpolate_seconds` are filled."""
    to_score = {}
    for sequence in sequences:
        frames = ((frame, None) for frame in sequence.to_score.frames)
        tracked = track_frames(
            frames,
            sequence.detections,
            Tracker(config, sequence.frame_rate),
            features=sequence.features,
            fill_gaps=round(interpolate_seconds * sequence.frame_rate),
            camera=sequence.camera,
        )
        to_score[sequence.name] = replace(sequence.to_score, results=tracked.rows())
    return score(to_score, protocol)[1]


def best_point(values: NDArray[np.float64], default: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return index of the largest value of a grid, along each axis; among equals the one nearest to `default`."""
    best = np.argwhere(values >= np.nanmax(values) - 1e-12)
    if default is not None:
        best = best[np.argsort(np.abs(best - np.asarray(default)).sum(axis=1), kind="stable")]
    return tuple(int(index) for index in best[0])
