"""DeepSORT from the package `deep-sort-realtime`, on the features of our embedder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.tracking.baselines.boxes import as_shares
from ssat.tracking.tracker import InitRule, Tracks


class DeepSortTracker:
    """The package's tracker with its own defaults; a track is lost for as long as SSAT's may be."""

    def __init__(self, lost_seconds: float, frame_rate: float) -> None:
        from deep_sort_realtime.deepsort_tracker import DeepSort

        self._tracker: Any = DeepSort(max_age=max(1, round(lost_seconds * frame_rate)), embedder=None)
        self._numbers: dict[str, int] = {}

    def skip(self, frames: int) -> None:
        """Advance by empty frames."""
        for _ in range(frames):
            self._tracker.update_tracks([], embeds=[])

    def associate(self, found: Detections, features: NDArray[np.float32] | None, init_rule: InitRule | None) -> Tracks:
        """Return the tracks of the next frame that the tracker has confirmed and that a detection continues.

        Raises:
            ValueError: no features.
        """
        if init_rule is not None:
            raise ValueError("this tracker decides itself where tracks begin")
        if features is None and len(found):
            raise ValueError("DeepSORT needs features")
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        # The package drops boxes without an area, but not their features.
        whole = np.flatnonzero((sides > 0).all(axis=1))
        ltwh = np.concatenate((found.boxes[:, :2], sides), axis=1)
        scores = as_shares(found.scores)
        given = [(ltwh[row].tolist(), float(scores[row]), 0) for row in whole]
        embeds = [features[row] for row in whole] if features is not None else []
        tracks = self._tracker.update_tracks(given, embeds=embeds, others=[int(row) for row in whole])
        shown = [t for t in tracks if t.is_confirmed() and t.time_since_update == 0]
        ids = np.array([self._number(t.track_id) for t in shown], np.int64)
        rows = np.array([t.get_det_supplementary() for t in shown], np.intp)
        return Tracks(ids, found.boxes[rows], rows, found.scores[rows])

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers) + 1)
