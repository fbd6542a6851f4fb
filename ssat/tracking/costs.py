"""Cost terms of pairs of track and detection, as matrices (T, D)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.calibration import Calibration
from ssat.tracking.distances import box_distance, box_overlap, cosine_distance
from ssat.tracking.motion import mahalanobis
from ssat.tracking.state import FrameDetections, TrackState

Matrix = NDArray[np.float64]


class CostTerm(Protocol):
    """One term of the cost. A pass of the tracker names the terms that it sums.

    Attributes:
        name: unique among the terms of a tracker; an explanation shows it.
    """

    name: str

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return the term (T, D), inf if the pair must not match; None if it cannot be computed."""
        ...


class AppearanceCost:
    """D_cos: 1 − cos of the two features (equation 2).

    Args:
        missing: cost of a pair where an appearance is missing; 0: another term decides, inf: nothing does.
        calibration: scales the term.
    """

    name = "appearance"

    def __init__(self, missing: float, calibration: Calibration | None = None) -> None:
        self.missing = missing
        self.calibration = calibration
        self._frame: tuple[FrameDetections, Matrix | None] | None = None

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return D_cos (T, D), computed once per frame; None without features, unless these cost something."""
        if self._frame is None or self._frame[0] is not detections:
            self._frame = detections, self._cost(state, detections)
        return self._frame[1]

    def _cost(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        if detections.features is None or state.features is None:
            return np.full((len(state), len(detections)), self.missing) if 0 < self.missing < np.inf else None
        cost_TD = cosine_distance(state.features, detections.features)
        if state.gallery is not None:
            n_tracks, size, width = state.gallery.shape
            past = state.gallery.reshape(-1, width) @ detections.features.T
            nearest_TD = past.reshape(n_tracks, size, -1).max(axis=1)
            np.minimum(cost_TD, 1.0 - nearest_TD.astype(np.float64), out=cost_TD)
        if self.calibration is not None:
            cost_TD *= self.calibration.scale
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


class OverlapCost:
    """1 − IoU of the expected and the detected box."""

    name = "overlap"

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix:
        """Return the cost (T, D), from 0 (same box) to 1 (disjoint)."""
        return 1.0 - box_overlap(state.boxes, detections.boxes)


class MotionGate:
    """Gate that forbids pairs whose box is improbable under the motion model.

    The limit is the 95 % quantile of the squared Mahalanobis distance with 4 degrees of freedom.
    """

    name = "motion gate"
    _LIMIT = 9.4877

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix:
        """Return 0 or inf (T, D)."""
        return np.where(mahalanobis(state, detections.boxes) > self._LIMIT, np.inf, 0.0)


class AppearanceGate:
    """Gate that forbids pairs whose appearance cost is above a limit, if both appearances are known.

    Args:
        appearance: the cost that is limited.
    """

    name = "appearance gate"

    def __init__(self, appearance: AppearanceCost, limit: float) -> None:
        self.appearance, self.limit = appearance, limit

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return 0 or inf (T, D); None without features."""
        cost_TD = self.appearance(state, detections)
        return None if cost_TD is None else np.where(cost_TD > self.limit, np.inf, 0.0)


class WeakPenalty:
    """Constant cost of every pair with a weak detection, so that other detections come first."""

    name = "weak penalty"

    def __init__(self, penalty: float) -> None:
        self.penalty = penalty

    def __call__(self, state: TrackState, detections: FrameDetections) -> Matrix | None:
        """Return 0 or the penalty (T, D)."""
        if detections.weak is None:
            return None
        return np.where(detections.weak, self.penalty, 0.0) + np.zeros((len(state), 1))


class Costs:
    """The cost terms of one frame and their sums, each computed once, when it is first asked for."""

    def __init__(self, terms: Sequence[CostTerm], state: TrackState, detections: FrameDetections) -> None:
        self._terms = {term.name: term for term in terms}
        self._state, self._detections = state, detections
        self._computed: dict[str, Matrix | None] = {}
        self._sums: dict[tuple[str, ...], Matrix] = {}

    @property
    def by_term(self) -> dict[str, Matrix | None]:
        """All terms by name."""
        return {name: self._term(name) for name in self._terms}

    def _term(self, name: str) -> Matrix | None:
        if name not in self._computed:
            self._computed[name] = self._terms[name](self._state, self._detections)
        return self._computed[name]

    def total(self, names: tuple[str, ...]) -> Matrix:
        """Return the sum (T, D) of the named terms; inf everywhere where none of them could be computed."""
        total_TD = self._sums.get(names)
        if total_TD is None:
            present = [matrix for name in names if (matrix := self._term(name)) is not None]
            empty = len(self._state), len(self._detections)
            total_TD = reduce(np.add, present) if present else np.full(empty, np.inf)
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
