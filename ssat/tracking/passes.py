"""The passes of an association: which tracks meet which detections, by which cost and threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.assignment import NO_PAIRS, Assignment, Pairs
from ssat.tracking.costs import Costs
from ssat.tracking.state import FrameDetections, TrackState

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass. It sees the tracks and detections that the passes before it left unmatched.

    Attributes:
        name: shown by an explanation.
        tracks: which tracks take part: state → (T,) bool.
        detections: which detections take part: detections → (D,) bool; None: all.
        terms: names of the cost terms that are summed.
        threshold: pairs match below this cost.
        assign: the assignment rule.
        updates_appearance: whether a matched track takes over the appearance of its detection.
    """

    name: str
    tracks: Callable[[TrackState], NDArray[np.bool_]]
    detections: Callable[[FrameDetections], NDArray[np.bool_] | None]
    terms: tuple[str, ...]
    threshold: float
    assign: Assignment
    updates_appearance: bool = True

    def match(self, costs: Costs, tracks: Rows, detections: Rows) -> Pairs:
        """Return the rows of the tracks and of the detections that match, given the rows that take part."""
        if not (len(tracks) and len(detections)):
            return NO_PAIRS
        rows, columns = self.assign(costs.among(self.terms, tracks, detections), self.threshold)
        return tracks.take(rows), detections.take(columns)


def tracked(state: TrackState) -> NDArray[np.bool_]:
    """Return the mask of tracks that were matched in the previous frame."""
    mask_T: NDArray[np.bool_] = state.time_since_update == 0
    return mask_T


def lost(state: TrackState) -> NDArray[np.bool_]:
    """Return the mask of tracks that were lost before this frame."""
    mask_T: NDArray[np.bool_] = state.time_since_update > 0
    return mask_T


def every(detections: FrameDetections) -> NDArray[np.bool_] | None:
    """Return all detections."""
    return None


def not_weak(detections: FrameDetections) -> NDArray[np.bool_] | None:
    """Return all detections but weak ones."""
    return None if detections.weak is None else ~detections.weak


def weak(detections: FrameDetections) -> NDArray[np.bool_] | None:
    """Weak detections only."""
    return np.zeros(len(detections), bool) if detections.weak is None else detections.weak


class Matches:
    """Tracks and detections that have matched so far."""

    __slots__ = ("_confident", "_matched", "unmatched_detections", "unmatched_tracks")

    def __init__(self, n_tracks: int, n_detections: int) -> None:
        self.unmatched_tracks = np.ones(n_tracks, bool)
        self.unmatched_detections = np.ones(n_detections, bool)
        self._matched: list[Pairs] = []
        self._confident: list[Pairs] = []

    def candidates(self, definition: Pass, state: TrackState, detections: FrameDetections) -> Pairs:
        """Return the rows of the unmatched tracks and detections that take part in a pass."""
        tracks_T, detections_D = definition.tracks(state), definition.detections(detections)
        if self._matched:
            tracks_T = tracks_T & self.unmatched_tracks
        free_D = self.unmatched_detections if detections_D is None else self.unmatched_detections & detections_D
        return tracks_T.nonzero()[0], free_D.nonzero()[0]

    def add(self, definition: Pass, tracks: Rows, detections: Rows) -> None:
        """Add the pairs that a pass matched."""
        if len(tracks):
            self.unmatched_tracks[tracks] = False
            self.unmatched_detections[detections] = False
            self._matched.append((tracks, detections))
            if definition.updates_appearance:
                self._confident.append((tracks, detections))

    @property
    def pairs(self) -> Pairs:
        """Rows of the matched tracks and of their detections."""
        return _joined(self._matched)

    @property
    def confident_pairs(self) -> Pairs:
        """Those whose detection updates the appearance of the track."""
        return self.pairs if len(self._confident) == len(self._matched) else _joined(self._confident)


def _joined(pairs: list[Pairs]) -> Pairs:
    if len(pairs) == 1:
        return pairs[0]
    if not pairs:
        return NO_PAIRS
    return np.concatenate([tracks for tracks, _ in pairs]), np.concatenate([detections for _, detections in pairs])
