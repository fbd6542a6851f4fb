"""Reuse features of the previous frame where no other person can be meant (beyond the paper)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.tracklets import unrivalled_links

EMBED = -1  # instead of a row of the previous frame: the patch is embedded


class FeatureReuse:
    """Rule that decides which detections need no patch of their own.

    A detection that is linked to one of the frame before by overlap, mutually and without a rival, shows the same
    person: it takes over that detection's feature, until the feature is `every` frames old. Where boxes overlap, where
    a person appears, and after frames that were left out, the patch is embedded.

    Args:
        every: frames from one patch of a person to the next; 1: every patch is embedded.

    Attributes:
        reused, total: how many detections took over a feature, and how many there were.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self.reused = 0
        self.total = 0
        self._number: int | None = None
        self._boxes_D4: NDArray[np.float64] = np.empty((0, 4))
        self._age_D: NDArray[np.int64] = np.empty(0, np.int64)

    def sources(self, number: int, boxes_D4: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return (D,) for the next frame: the row of the frame before whose feature is taken over, or `EMBED`.

        Args:
            number: of the frame.
            boxes_D4: x1 y1 x2 y2 in pixels.
        """
        sources_D = np.full(len(boxes_D4), EMBED, np.intp)
        self.total += len(boxes_D4)
        if self.every == 1:
            return sources_D
        age_D = np.zeros(len(boxes_D4), np.int64)
        if self._number is not None and number == self._number + 1:
            before, now = unrivalled_links(self._boxes_D4, boxes_D4)
            young = self._age_D[before] < self.every - 1
            sources_D[now[young]] = before[young]
            age_D[now[young]] = self._age_D[before[young]] + 1
            self.reused += int(young.sum())
        self._number, self._boxes_D4, self._age_D = number, boxes_D4, age_D
        return sources_D
