"""SORT, ByteTrack and OC-SORT from the package `trackers`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.tracking.tracker import InitRule, Tracks

_CLASSES = {"sort": "SORTTracker", "bytetrack": "ByteTrackTracker", "oc-sort": "OCSORTTracker"}
_BUFFER_RATE = 30.0  # the package counts its buffer in frames at this rate


class PackagedBoxTracker:
    """One of the package's trackers with its own defaults; a track is lost for as long as SSAT's may be.

    Its thresholds on scores suppose scores between 0 and 1. Where a sequence's detector scores on another scale, every
    detection counts as certain.
    """

    def __init__(self, name: str, lost_seconds: float, frame_rate: float) -> None:
        import trackers

        made = getattr(trackers, _CLASSES[name])
        self._tracker: Any = made(lost_track_buffer=round(lost_seconds * _BUFFER_RATE), frame_rate=frame_rate)

    def skip(self, frames: int) -> None:
        """Advance by empty frames."""
        for _ in range(frames):
            self._update(np.empty((0, 4)), np.empty(0))

    def associate(self, found: Detections, features: NDArray[np.float32] | None, init_rule: InitRule | None) -> Tracks:
        """Return the tracks of the next frame that the tracker is certain of; appearance is not used."""
        if init_rule is not None:
            raise ValueError("this tracker decides itself where tracks begin")
        tracked = self._update(found.boxes, as_shares(found.scores))
        # Tracks that are not certain yet have the identity -1; the package counts from 0.
        certain = tracked.tracker_id >= 0
        rows = tracked.data["row"][certain]
        return Tracks(tracked.tracker_id[certain].astype(np.int64) + 1, found.boxes[rows], rows, found.scores[rows])

    def _update(self, boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> Any:
        import supervision

        rows = np.arange(len(boxes))
        given = supervision.Detections(boxes, confidence=scores, class_id=np.zeros(len(boxes), int), data={"row": rows})
        tracked = self._tracker.update(given)
        if len(tracked) == 0:
            tracked.tracker_id, tracked.data["row"] = np.empty(0, np.int64), np.empty(0, np.intp)
        return tracked


def as_shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores (D,) between 0 and 1: as they are, or 1 for all where some are beyond."""
    return scores if ((scores >= 0) & (scores <= 1)).all() else np.ones_like(scores)
