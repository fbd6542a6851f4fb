"""The scale of the appearance cost, estimated without labels from boxes of the same frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.distances import box_overlap
from ssat.tracking.state import FrameDetections

TARGET = 0.8  # median cost between different people after scaling: above tau1 and tau2 of the paper
_BINS, _MAX_COST = 400, 2.0
_MAX_OVERLAP = 0.3  # IoU: boxes that overlap more may show the same person
_KEPT = 0.99  # decay of the weight of earlier frames per frame: a memory of about 100 frames
_STORED_PAIRS = 100.0  # weight of a stored median
MIN_PAIRS = 20  # fewer pairs give no estimate


@lru_cache(maxsize=64)
def _below_diagonal(size: int) -> NDArray[np.bool_]:
    return np.tri(size, k=-1, dtype=bool)


class Calibration:
    """Scale of D_cos that puts different people `TARGET` apart in the median.

    Two boxes of one frame show two people. A histogram of their D_cos with exponential forgetting gives the median.

    Args:
        stored_median: of the embedder, from earlier footage; the estimate starts there.

    Attributes:
        histogram: (400,) weights of D_cos between 0 and 2.
        stored_median: where the estimate started.
        frames: with features, so far.
        pairs: of people in one frame, so far.
    """

    def __init__(self, stored_median: float | None = None) -> None:
        self.histogram: NDArray[np.float64] = np.zeros(_BINS)
        self.stored_median = stored_median
        self.frames = self.pairs = 0
        if stored_median is not None:
            self.histogram[min(int(stored_median / _MAX_COST * _BINS), _BINS - 1)] = _STORED_PAIRS

    def add(self, detections: FrameDetections) -> None:
        """Take the pairs of one frame."""
        features_DF = detections.features
        if features_DF is None or not len(detections):
            return
        self.frames += 1
        different_DD = box_overlap(detections.boxes, detections.boxes) < _MAX_OVERLAP
        different_DD &= _below_diagonal(len(detections))
        if detections.weak is not None:
            different_DD &= ~(detections.weak | detections.weak[:, None])
        if detections.missing_appearance:
            known_D = np.asarray(features_DF.any(axis=1))
            different_DD &= known_D & known_D[:, None]
        costs = 1.0 - (features_DF @ features_DF.T)[different_DD]
        if len(costs):
            self.pairs += len(costs)
            bins = (costs * (_BINS / _MAX_COST)).astype(np.int64)
            np.minimum(np.maximum(bins, 0, out=bins), _BINS - 1, out=bins)
            self.histogram *= _KEPT
            self.histogram += np.bincount(bins, minlength=_BINS)

    @property
    def fallback(self) -> str | None:
        """Note that the scale does not come from the footage, and its source; None if it does."""
        if not self.frames or self.pairs >= MIN_PAIRS:
            return None
        instead = (
            "left as it is" if self.stored_median is None else f"scaled by the stored median {self.stored_median:g}"
        )
        return (
            f"{self.pairs} pairs of people in one frame, fewer than {MIN_PAIRS}: too few to calibrate; the appearance "
            f"distance was {instead}"
        )

    @property
    def median(self) -> float | None:
        """Median D_cos between different people; below 20 pairs the stored one, or None."""
        if self.stored_median is not None and self.pairs < MIN_PAIRS:
            return self.stored_median
        below = self.histogram.cumsum()
        if below[-1] < MIN_PAIRS:
            return None
        return float((below.searchsorted(below[-1] / 2) + 0.5) * _MAX_COST / _BINS)

    @property
    def scale(self) -> float:
        """Factor of D_cos; 1 as long as there are too few pairs."""
        median = self.median
        return 1.0 if median is None else TARGET / median
