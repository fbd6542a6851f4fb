"""Which frames of which clips an epoch takes, decided row by row without a list of all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.store import FrameStore, RowGroup


class Selection:
    """Labels of the chosen clips, and for each epoch `frames_per_clip` frames of each.

    The frames of an epoch are spread evenly over the clip, since neighbours are near-duplicates. A clip of n stored
    frames has ⌈n / k⌉ such sets of k; successive epochs go through all of them, in an order in which successive sets
    lie far apart, and every clip starts elsewhere.
    """

    def __init__(self, store: FrameStore, class_ids: Sequence[int], frames_per_clip: int | None, seed: int) -> None:
        """Choose the clips of ranks `class_ids`; a clip's label is its position there.

        Raises:
            InputError: no class, a class twice, or one that the store does not know.
        """
        chosen = np.asarray(list(class_ids), np.int64)
        counts = store.frames_of
        if not len(chosen):
            raise InputError("no clips to draw from: class_ids is empty")
        if len(np.unique(chosen)) != len(chosen):
            raise InputError("class_ids names a clip twice: each clip is one class")
        if chosen.min() < 0 or chosen.max() >= len(counts):
            unknown = chosen.min() if chosen.min() < 0 else chosen.max()
            raise InputError(
                f"{store.folder}: clips of rank 0 to {len(counts) - 1} are there, rank {unknown} was asked for; "
                "collect and decode more"
            )
        if frames_per_clip is not None and frames_per_clip < 1:
            raise InputError(f"frames_per_clip {frames_per_clip}: expected at least 1")
        self.label_of = np.full(len(counts), -1, np.int64)
        self.label_of[chosen] = np.arange(len(chosen))
        # Clips that failed to decode keep their label; no batch shows them.
        self.empty_classes = chosen[counts[chosen] == 0].tolist()
        self._stride = store.frame_stride
        self._n = np.maximum(counts, 1)
        self._k = self._n if frames_per_clip is None else np.minimum(self._n, frames_per_clip)
        self.rows = int(np.minimum(counts, self._k)[chosen].sum())
        self._all = bool((self._k == self._n).all())
        self._start = np.random.Generator(np.random.PCG64([seed, 0])).integers(0, self._n)
        self._sets = -(-self._n // self._k)
        steps = {int(sets): _far_step(int(sets)) for sets in np.unique(self._sets)}
        self._step = np.array([steps[int(sets)] for sets in self._sets], np.int64)

    def rows_of(self, facts: RowGroup, epoch: int) -> NDArray[np.int64]:
        """Positions of the rows of a row group that `epoch` takes."""
        ranks = facts.class_id
        mask = self.label_of[ranks] >= 0
        if not self._all:
            n, k = self._n[ranks], self._k[ranks]
            ordinal = facts.frame_index.astype(np.int64) // self._stride
            # (ordinal · k) mod n takes values below k for exactly k of the n ordinals, evenly spread; each shift by k
            # gives the next such set.
            shift = self._start[ranks] + (epoch * self._step[ranks]) % self._sets[ranks] * k
            mask &= (ordinal * k + shift) % n < k
        return np.flatnonzero(mask)


def _far_step(sets: int) -> int:
    """A step through `sets` positions on a circle that visits all and lands far from the last ones."""
    golden = max(1, round(sets * 0.618))
    return next(step for step in range(golden, 0, -1) if math.gcd(step, sets) == 1)
