"""The prior heatmap: where the tracks of the frame before were, drawn for the network."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_OVERLAP = 0.7


def gaussian_radius(height: float, width: float, overlap: float = _OVERLAP) -> float:
    """Return how far both corners of a box may move at overlap `overlap` with the old box (arXiv 1808.01244).

    The smallest of three cases (one corner in and one out, both in, both out), with the divisor 2 of the published
    implementation for all of them, because the networks were trained with it.
    """
    total, product = height + width, height * width
    cases = (
        (1.0, total, product * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * product),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * product),
    )
    return min((b + math.sqrt(max(0.0, b * b - 4 * a * c))) / 2 for a, b, c in cases)


def prior_heatmap(boxes_N4: NDArray[np.float64], width: int, height: int) -> NDArray[np.float32]:
    """Return a Gaussian of height 1 in the middle of every box, combined by maximum: (H, W).

    Args:
        boxes_N4: x1 y1 x2 y2 in pixels of the input; clipped to it, and left out where nothing is inside.
    """
    heatmap = np.zeros((height, width), np.float32)
    limit = np.array([width - 1, height - 1, width - 1, height - 1], np.float64)
    for x1, y1, x2, y2 in np.clip(boxes_N4, 0.0, limit).tolist():
        if x2 <= x1 or y2 <= y1:
            continue
        radius = max(0, int(gaussian_radius(math.ceil(y2 - y1), math.ceil(x2 - x1))))
        _draw(heatmap, int((x1 + x2) / 2), int((y1 + y2) / 2), radius)
    return heatmap


def _draw(heatmap: NDArray[np.float32], x: int, y: int, radius: int) -> None:
    height, width = heatmap.shape
    sigma = (2 * radius + 1) / 6
    bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma * sigma)).astype(np.float32)
    left, right = min(x, radius), min(width - 1 - x, radius)
    top, bottom = min(y, radius), min(height - 1 - y, radius)
    part = heatmap[y - top : y + bottom + 1, x - left : x + right + 1]
    np.maximum(
        part, np.outer(bell[radius - top : radius + bottom + 1], bell[radius - left : radius + right + 1]), out=part
    )
