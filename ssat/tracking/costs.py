"""Cost terms: what speaks against a pair of track and detection, as matrices (T, D)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.distances import box_distance, cosine_distance
from ssat.tracking.state import FrameDetections, TrackState

Matrix = NDArray[np.float64]


class CostTerm(Protocol):
    """One term of the cost. A pass of the tracker names the terms that it sums.

    Attributes:
        name: unique among the terms of a tracker; `--explain` shows it.
    """

    name: str

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return the term (T, D), inf where the pair must not match; None where it cannot be computed."""
        ...


class AppearanceCost:
    """D_cos: 1 − cos of the two features (equation 2).

    Args:
        missing: cost of a pair where an appearance is missing: 0 where another term decides, else inf.
    """

    name = "appearance"

    def __init__(self, missing: float) -> None:
        self.missing = missing

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return D_cos (T, D); None without features."""
        if detections.features is None or state.features is None:
            return None
        cost_TD = cosine_distance(state.features, detections.features)
        if detections.missing_appearance or state.missing_appearance:
            known_T, known_D = (state.features != 0).any(axis=1), (detections.features != 0).any(axis=1)
            cost_TD[~(known_T[:, None] & known_D)] = self.missing
        return cost_TD


class BoxCost:
    """D_bbox: distance of the box coordinates over alpha times the perimeter of the track's box (equation 1)."""

    name = "box"

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix:
        """Return D_bbox (T, D)."""
        return box_distance(state.boxes, detections.boxes, self.alpha)


class Costs:
    """The cost terms of one frame, computed once, and their sums."""

    def __init__(self, terms: Sequence[CostTerm], state: TrackState, detections: FrameDetections) -> None:
        self.by_term = {term.name: term(state, detections) for term in terms}
        self._shape = (len(state), len(detections))
        self._sums: dict[tuple[str, ...], Matrix] = {}

    def total(self, names: tuple[str, ...]) -> Matrix:
        """Return the sum (T, D) of the named terms; inf everywhere where none of them could be computed."""
        total_TD = self._sums.get(names)
        if total_TD is None:
            present = [matrix for name in names if (matrix := self.by_term[name]) is not None]
            total_TD = reduce(np.add, present) if present else np.full(self._shape, np.inf)
            self._sums[names] = total_TD
        return total_TD

    def among(self, names: tuple[str, ...], tracks: NDArray[np.intp], detections: NDArray[np.intp]) -> Matrix:
        """Return the sum for some tracks and detections only, given their rows in ascending order."""
        total_TD = self.total(names)
        if len(tracks) < total_TD.shape[0]:
            total_TD = total_TD.take(tracks, axis=0)
        if len(detections) < total_TD.shape[1]:
            total_TD = total_TD.take(detections, axis=1)
        return total_TD
