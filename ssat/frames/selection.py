"""The samples of an epoch, decided row group by row group without a list of all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.manifest import ShardEntry
from ssat.frames.store import FrameStore, RowGroup


@dataclass(frozen=True)
class GroupSamples:
    """Samples of one row group: (n,) arrays. A row may occur several times, with other labels."""

    row: NDArray[np.int64]
    """Row in the row group."""
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


class Selection:
    """Whole frames of chosen clips, each clip a class; for each epoch `frames_per_clip` frames of each.

    The frames of an epoch are spread evenly over the clip, since neighbours are near-duplicates. A clip of n stored
    frames has ⌈n / k⌉ such sets of k; successive epochs go through all of them, in an order in which successive sets
    lie far apart, and every clip starts elsewhere.

    Attributes:
        size: samples of an epoch.
        label_of: (highest class id + 1,) label of each clip, -1 if it is not chosen.
        empty_classes: class ids of chosen clips that have no frames, since they failed to decode.
    """

    def __init__(
        self,
        store: FrameStore,
        class_ids: Sequence[int],
        frames_per_clip: int | None,
        seed: int,
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        """Choose the clips `class_ids`; a clip's label is its position there.

        Args:
            store: the opened frame store.
            class_ids: of the clips.
            frames_per_clip: frames of each clip in an epoch; None: all.
            seed: of the choice of frames.
            counts: (highest class id + 1,) frames of each clip that may be chosen; None: the stored ones.

        Raises:
            InputError: no class, a class twice, or one that the store does not know.
        """
        chosen = np.asarray(list(class_ids), np.int64)
        counts = store.frames_of if counts is None else counts
        if not len(chosen):
            raise InputError("no clips to draw from: class_ids is empty")
        if len(np.unique(chosen)) != len(chosen):
            raise InputError("class_ids names a clip twice: each clip is one class")
        if chosen.min() < 0 or chosen.max() >= len(counts):
            unknown = chosen.min() if chosen.min() < 0 else chosen.max()
            raise InputError(
                f"{store.folder}: no clip of class id {unknown}; expected 0 to {len(counts) - 1}. "
                "Collect and decode more clips"
            )
        if frames_per_clip is not None and frames_per_clip < 1:
            raise InputError(f"frames_per_clip {frames_per_clip}: expected at least 1")
        self.label_of = np.full(len(counts), -1, np.int64)
        self.label_of[chosen] = np.arange(len(chosen))
        # Clips that failed to decode keep their label; no batch shows them.
        self.empty_classes: list[int] = chosen[counts[chosen] == 0].tolist()
        self._stride = store.frame_stride
        self._n = np.maximum(counts, 1)
        self._k = self._n if frames_per_clip is None else np.minimum(self._n, frames_per_clip)
        self.size = int(np.minimum(counts, self._k)[chosen].sum())
        self._all = bool((self._k == self._n).all())
        self._start = np.random.Generator(np.random.PCG64([seed, 0])).integers(0, self._n)
        self._sets = -(-self._n // self._k)
        steps = {int(sets): _far_step(int(sets)) for sets in np.unique(self._sets)}
        self._step = np.array([steps[int(sets)] for sets in self._sets], np.int64)

    def touches(self, shard: ShardEntry) -> bool:
        """Return whether the shard may hold samples."""
        return bool((self.label_of[shard.first_class_id : shard.last_class_id + 1] >= 0).any())

    def ordinal(self, shard: int, facts: RowGroup) -> NDArray[np.int64]:
        """Return (rows,) number of each row's frame among those of its clip that may be chosen; -1: not one of them."""
        return facts.frame_index.astype(np.int64) // self._stride

    def of_group(self, facts: RowGroup, epoch: int, shard: int = 0) -> GroupSamples:
        """Return the samples of a row group of a shard in `epoch`, in the order of the rows."""
        class_id = facts.class_id
        ordinal = self.ordinal(shard, facts)
        mask = (self.label_of[class_id] >= 0) & (ordinal >= 0)
        if not self._all:
            n, k = self._n[class_id], self._k[class_id]
            # (ordinal · k) mod n takes values below k for exactly k of the n ordinals, evenly spread; each shift by k
            # gives the next such set.
            shift = self._start[class_id] + (epoch * self._step[class_id]) % self._sets[class_id] * k
            mask &= (ordinal * k + shift) % n < k
        rows = np.flatnonzero(mask)
        return GroupSamples(rows, self.label_of[class_id[rows]])


def _far_step(sets: int) -> int:
    """Return a step through `sets` positions on a circle that visits all and lands far from the last ones."""
    golden = max(1, round(sets * 0.618))
    return next(step for step in range(golden, 0, -1) if math.gcd(step, sets) == 1)
