"""Training batches from a frame store: shuffled on disk and in memory, the same for the same seed, resumable."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.augment import DRAWS, Augment, FrameDecoder
from ssat.frames.crops import read_crops
from ssat.frames.selection import Selection
from ssat.frames.store import FrameStore, RowGroup

__all__ = ["Augment", "FrameSampler", "read_crops"]

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

INTERLEAVE = 16  # row groups that are open at the same time
_BUFFER_BATCHES = 4  # more are opened until this many batches of rows are at hand
_CACHED_GROUPS = 4096  # facts of row groups that are kept between epochs: 14 bytes a row
_MOST_CORRUPT = 0.01  # share of an epoch's rows; beyond it the store is broken, not scratched

_logger = logging.getLogger(__name__)


class _OpenGroup:
    """A row group that is being drawn from. Its JPEGs are read at the first use, and only the chosen ones are kept."""

    def __init__(self, store: FrameStore, shard: int, group: int, facts: RowGroup, rows: NDArray[np.int64]) -> None:
        self.shard = shard
        self.group = group
        self.facts = facts
        self.rows = rows
        self.next = 0
        self._store = store
        self._lock = threading.Lock()
        self._jpegs: dict[int, bytes] | None = None

    def jpeg(self, row: int) -> bytes:
        with self._lock:
            if self._jpegs is None:
                column = self._store.reader(self.shard).jpegs(self.group)
                self._jpegs = {int(chosen): column[int(chosen)].as_py() for chosen in self.rows}
            return self._jpegs.pop(row)

    def __str__(self) -> str:
        return f"{self._store.manifest.shards[self.shard].path} row group {self.group}"


_Pick = tuple[_OpenGroup, int]


class FrameSampler:
    """Random crops of the frames of chosen clips, in batches of one process.

    An epoch takes the row groups of the store in a shuffled order (seed + epoch), deals them to the ranks, keeps 16
    open and draws from them at random. The sequence follows from seed, epoch, rank, world size and batch size: the
    number of workers and a resumption change nothing.

    Attributes:
        steps_per_epoch: batches of an epoch, equal on every rank, from the manifest and the clip table alone.
        skipped: rows that could not be decoded so far; another row of the batch stands in for each.
        empty_classes: ranks among `class_ids` that have no frames, since their clip failed to decode.
    """

    def __init__(
        self,
        store: FrameStore,
        *,
        class_ids: Sequence[int],
        batch_size: int,
        crop: int,
        short_side: int,
        frames_per_clip: int | None = None,
        seed: int = 0,
        process_rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        augment: Augment | None = None,
    ) -> None:
        """Prepare to draw; reads no frame yet.

        Args:
            store: the opened frame store.
            class_ids: ranks of the clips to draw from; the label of a clip is its position here.
            batch_size: crops of a batch of this process.
            crop: side of a crop in pixels.
            short_side: the crop is taken from the frame at this short side, in pixels.
            frames_per_clip: frames of each clip in an epoch, others in every epoch; None: all.
            seed: of the order, the choice of frames and the crops.
            process_rank: this process among `world_size`.
            world_size: processes that share an epoch.
            workers: threads that decode ahead; 0 decodes in the caller's thread.
            augment: what else happens to a crop; None: nothing.

        Raises:
            InputError: sizes that do not fit, or clips that the store does not have.
        """
        if batch_size < 1 or world_size < 1 or not 0 <= process_rank < world_size or workers < 0:
            raise InputError(
                f"batch_size {batch_size}, process_rank {process_rank} of world_size {world_size}, workers {workers}: "
                "expected batch_size ≥ 1, 0 ≤ process_rank < world_size and workers ≥ 0"
            )
        _check_crop(crop, short_side)
        self._store = store
        self._selection = Selection(store, class_ids, frames_per_clip, seed)
        self._batch_size = batch_size
        self._crop = crop
        self._short_side = short_side
        self._seed = seed
        self._rank = process_rank
        self._world = world_size
        self._workers = workers
        self._augment = augment or Augment()
        chosen = np.flatnonzero(self._selection.label_of >= 0)
        self._groups = [
            (shard, group)
            for shard, entry in enumerate(store.manifest.shards)
            if ((entry.first_rank <= chosen) & (chosen <= entry.last_rank)).any()
            for group in range(entry.row_groups)
        ]
        self._facts: dict[tuple[int, int], RowGroup] = {}
        self._count_lock = threading.Lock()
        self.steps_per_epoch = self._selection.rows // (batch_size * world_size)
        self.skipped = 0
        self.empty_classes: list[int] = self._selection.empty_classes

    def epoch(
        self, epoch: int, start_step: int = 0, *, crop: int | None = None, short_side: int | None = None
    ) -> Iterator[Batch]:
        """The batches of epoch `epoch` from step `start_step` on: crops (B, c, c, 3) uint8 RGB, labels (B,) int64.

        `crop` and `short_side` replace those of the sampler for this epoch (progressive resizing).

        Raises:
            InputError: a shard is missing or damaged, or too many rows cannot be decoded.
        """
        size, side = crop or self._crop, short_side or self._short_side
        _check_crop(size, side)
        picks = islice(self._picks(epoch), start_step, self.steps_per_epoch)
        numbered = enumerate(picks, start_step)
        if self._workers == 0:
            for step, batch in numbered:
                yield self._decode(epoch, step, batch, size, side)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="frames")
        ahead: deque[Future[Batch]] = deque()
        try:
            for step, batch in numbered:
                ahead.append(pool.submit(self._decode, epoch, step, batch, size, side))
                if len(ahead) > self._workers + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Also when the caller stops half way: nothing may go on decoding for nobody.
            pool.shutdown(wait=True, cancel_futures=True)

    def _picks(self, epoch: int) -> Iterator[list[_Pick]]:
        """The rows of each batch of this rank; endless, for `steps_per_epoch` says where to stop."""
        random = np.random.Generator(np.random.PCG64([self._seed, epoch, self._rank]))
        waiting = self._dealt_groups(epoch)
        opened: list[_OpenGroup] = []
        buffered = 0
        batch: list[_Pick] = []
        while True:
            while len(opened) < INTERLEAVE or buffered < _BUFFER_BATCHES * self._batch_size:
                group = next(waiting, None)
                if group is None:
                    break
                random.shuffle(group.rows)
                opened.append(group)
                buffered += len(group.rows)
            if not opened:
                return
            position = int(random.random() * len(opened))
            group = opened[position]
            batch.append((group, int(group.rows[group.next])))
            group.next += 1
            buffered -= 1
            if group.next == len(group.rows):
                opened[position] = opened[-1]
                opened.pop()
            if len(batch) == self._batch_size:
                yield batch
                batch = []

    @property
    def _deals_groups(self) -> bool:
        return self._world == 1 or len(self._groups) >= INTERLEAVE * self._world

    def group_order(self, epoch: int) -> NDArray[np.int64]:
        """(n,) positions of the row groups of this rank among those of the chosen clips, in the order of `epoch`."""
        order = np.random.Generator(np.random.PCG64([self._seed, epoch])).permutation(len(self._groups))
        return order[self._rank :: self._world] if self._deals_groups else order

    def _dealt_groups(self, epoch: int) -> Iterator[_OpenGroup]:
        """This rank's part of the epoch's rows, row group by row group in shuffled order.

        Whole row groups are dealt where each rank gets enough of them to interleave; ranks get more or less the same
        number of rows then, and one that runs short goes through its groups again, with other frames. In a small
        store every rank sees all groups and takes every world-size-th row: exactly equal parts.
        """
        by_group = self._deals_groups
        mine = self.group_order(epoch)
        seen, again = 0, 0
        while True:
            found = False
            for index in mine:
                shard, group = self._groups[index]
                facts = self._facts_of(shard, group)
                rows = self._selection.rows_of(facts, epoch + again)
                if not by_group:
                    first = (self._rank - seen) % self._world
                    seen += len(rows)
                    rows = rows[first :: self._world]
                if len(rows):
                    found = True
                    yield _OpenGroup(self._store, shard, group, facts, rows)
            again += 1
            if not by_group or self._world == 1 or not found:
                return

    def _facts_of(self, shard: int, group: int) -> RowGroup:
        facts = self._facts.get((shard, group))
        if facts is None:
            facts = self._store.reader(shard).facts(group)
            if len(self._groups) <= _CACHED_GROUPS:
                self._facts[shard, group] = facts
        return facts

    def _decode(self, epoch: int, step: int, picks: list[_Pick], crop: int, short_side: int) -> Batch:
        random = np.random.Generator(np.random.PCG64([self._seed, epoch, self._rank, step]))
        draws = random.random((len(picks), DRAWS))
        images = np.empty((len(picks), crop, crop, 3), np.uint8)
        labels = np.empty(len(picks), np.int64)
        broken: list[int] = []
        decoder = FrameDecoder()
        for i, (group, row) in enumerate(picks):
            labels[i] = self._selection.label_of[group.facts.class_id[row]]
            try:
                frame = decoder.decode(group.jpeg(row), short_side)
            except (ValueError, InputError) as problem:
                broken.append(i)
                self._count_broken(group, row, problem)
                continue
            self._augment.into(images[i], frame, short_side, draws[i])
        good = [i for i in range(len(picks)) if i not in broken] if broken else []
        if broken and not good:
            raise InputError(f"{picks[0][0]}: no row of a batch can be decoded; run `ssat verify --repair`")
        for i in broken:
            stand_in = good[i % len(good)]
            images[i], labels[i] = images[stand_in], labels[stand_in]
        return images, labels

    def _count_broken(self, group: _OpenGroup, row: int, problem: Exception) -> None:
        with self._count_lock:
            self.skipped += 1
            skipped = self.skipped
        _logger.warning(
            "%s: row %d (clip of rank %d, frame %d) is skipped: %s",
            group,
            row,
            group.facts.class_id[row],
            group.facts.frame_index[row],
            problem,
        )
        if skipped > max(16, _MOST_CORRUPT * self._selection.rows):
            raise InputError(
                f"{self._store.folder}: {skipped} rows cannot be decoded ({group}, row {row}: {problem}); run "
                "`ssat verify --repair`"
            )


def _check_crop(crop: int, short_side: int) -> None:
    if not 1 <= crop <= short_side:
        raise InputError(
            f"crop {crop} does not fit into a frame of short side {short_side}: expected crop ≤ short side"
        )
