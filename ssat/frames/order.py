"""The order of an epoch's samples: a function of seed and epoch, the same for any number of processes.

An epoch is one sequence of samples, and position p of it is part of global step p // batch. A process takes its part
of each step; which samples there are, their order and their random numbers do not depend on the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

G = TypeVar("G", bound=Sized)

INTERLEAVE = 16  # row groups that are open at the same time, over all lanes
_MIN_INTERLEAVE = 4  # in a lane
_BUFFER_BATCHES = 4  # more row groups are opened until this many batches of samples are in memory


def group_order(groups: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return (groups,) numbers of row groups in the order in which an epoch opens them."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(groups)


def sample_draws(seed: int, epoch: int, first: int, count: int, *, batch: int, width: int) -> NDArray[np.float64]:
    """Return (count, width) random numbers in [0, 1) of the samples at positions `first` … of an epoch.

    They belong to the position, not to the process that takes it.
    """
    parts = []
    while count > 0:
        step, offset = divmod(first, batch)
        rows = min(count, batch - offset)
        bits = np.random.PCG64([seed, epoch, 0, step])
        bits.advance(offset * width)
        parts.append(np.random.Generator(bits).random((rows, width)))
        first, count = first + rows, count - rows
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class EpochOrder(Generic[G]):
    """A cursor over an epoch's sequence of samples.

    Row groups are opened in the order of `group_order`, INTERLEAVE of them at a time, and samples are drawn from the
    open ones at random. With `lanes` above 1 the row groups are dealt into that many lanes, each an independent
    sequence that fills the same part of every step. A process then reads only the row groups of the lanes that its
    part of a step touches; where the number of processes divides that of lanes, each row group is read by one process.
    A lane that runs out of samples before the epoch ends opens its row groups again, with `again` counted up.

    Args:
        open_group: gives the samples of a row group by its number and by how often the epoch has opened it before.
        groups: number of row groups.
        seed: of the training.
        epoch: 0-based.
        batch: samples of a step over all processes; a multiple of `lanes`.
        lanes: independent parts of the sequence.
    """

    def __init__(
        self, open_group: Callable[[int, int], G], groups: int, seed: int, epoch: int, batch: int, lanes: int = 1
    ) -> None:
        self._open_group = open_group
        self._order = group_order(groups, seed, epoch)
        self._key = (seed, epoch)
        self._batch = batch
        self._share = batch // lanes
        self._n_lanes = lanes
        self._lanes: dict[int, Iterator[tuple[G, int]]] = {}
        self._taken: dict[int, int] = {}

    def take(self, first: int, count: int) -> list[tuple[G, int]]:
        """Return the samples at positions `first` … `first + count - 1`: row group and number of the sample in it.

        Fewer where the epoch ends. Positions must not go back from one call to the next.
        """
        samples: list[tuple[G, int]] = []
        while count > 0:
            step, offset = divmod(first, self._batch)
            lane, inside = divmod(offset, self._share)
            wanted = min(count, self._share - inside)
            samples += self._from_lane(lane, step * self._share + inside, wanted)
            first, count = first + wanted, count - wanted
        return samples

    def _from_lane(self, lane: int, first: int, count: int) -> list[tuple[G, int]]:
        if lane not in self._lanes:
            self._lanes[lane], self._taken[lane] = self._lane(lane), 0
        skipped = first - self._taken[lane]
        self._taken[lane] = first + count
        return list(islice(self._lanes[lane], skipped, skipped + count))

    def _lane(self, lane: int) -> Iterator[tuple[G, int]]:
        random = np.random.Generator(np.random.PCG64([*self._key, lane]))
        interleave = INTERLEAVE if self._n_lanes == 1 else max(_MIN_INTERLEAVE, INTERLEAVE // self._n_lanes)
        waiting, again = self._groups_of(lane, 0), 0
        opened: list[tuple[G, list[int]]] = []  # the numbers of samples that are left, the next one last
        buffered, drawn = 0, 0
        while True:
            while len(opened) < interleave or buffered < _BUFFER_BATCHES * self._share:
                group = next(waiting, None)
                if group is None:
                    break
                samples = np.arange(len(group))
                random.shuffle(samples)
                opened.append((group, samples[::-1].tolist()))
                buffered += len(samples)
            if not opened:
                if self._n_lanes == 1 or not drawn:
                    return
                again += 1
                waiting, drawn = self._groups_of(lane, again), 0
                continue
            position = int(random.random() * len(opened))
            group, left = opened[position]
            yield group, left.pop()
            buffered, drawn = buffered - 1, drawn + 1
            if not left:
                opened[position] = opened[-1]
                opened.pop()

    def _groups_of(self, lane: int, again: int) -> Iterator[G]:
        for number in self._order[lane :: self._n_lanes]:
            group = self._open_group(int(number), again)
            if len(group):
                yield group
