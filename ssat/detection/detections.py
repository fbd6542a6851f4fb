"""Detections of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """The boxes of one frame, best first, in pixels of the frame.

    Attributes:
        boxes: (D, 4) x1 y1 x2 y2; may reach beyond the frame.
        scores: (D,) 0 … 1.
        centres: (D, 2) x y that stand for the box; the peak of the heatmap where there is one, else its middle.
        offsets: (D, 2) x y from the centre to where the object was in the frame before; zero if it is not known.
        given: the same detections in the type of another library, where they came in one.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    centres: NDArray[np.float64]
    offsets: NDArray[np.float64]
    given: Any = None

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of_boxes(cls, boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> Detections:
        """Return boxes of a detector that knows neither peaks nor offsets."""
        return cls(boxes, scores, middles(boxes), np.zeros((len(boxes), 2)))


def middles(boxes_D4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle points (D, 2) of boxes x1 y1 x2 y2."""
    middle: NDArray[np.float64] = (boxes_D4[:, :2] + boxes_D4[:, 2:]) / 2
    return middle


def areas(boxes_D4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas (D,) of boxes x1 y1 x2 y2."""
    area: NDArray[np.float64] = (boxes_D4[:, 2:] - boxes_D4[:, :2]).prod(axis=1)
    return area
