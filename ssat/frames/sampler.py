"""Training batches from a frame store: random crops in an order that any number of processes shares, resumable."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.augment import DRAWS, Augment, FrameDecoder
from ssat.frames.crops import read_crops
from ssat.frames.order import EpochOrder, sample_draws
from ssat.frames.selection import GroupSamples, Selection
from ssat.frames.store import FrameStore, RowGroup

__all__ = ["Augment", "FrameSampler", "read_crops"]

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

_CACHED_GROUPS = 4096  # facts of row groups that are kept between epochs: 14 bytes a row
_MAX_CORRUPT = 0.01  # share of an epoch's rows; beyond it the store is broken, not scratched

_logger = logging.getLogger(__name__)


class OpenGroup:
    """A row group that is being drawn from. Its JPEGs are read at the first use, and only the chosen ones are kept.

    Attributes:
        bank: pictures of the row group that samplers share while it is open; guarded by `bank_lock`.
    """

    def __init__(self, store: FrameStore, shard: int, group: int, facts: RowGroup, samples: GroupSamples) -> None:
        self.facts = facts
        self.samples = samples
        self._store = store
        self._shard = shard
        self._group = group
        self._lock = threading.Lock()
        self._jpegs: dict[int, bytes] | None = None
        self.bank: list[NDArray[np.uint8]] | None = None
        self.bank_lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def shard(self) -> int:
        """Position of its shard in the store."""
        return self._shard

    @property
    def number(self) -> int:
        """Number in the shard."""
        return self._group

    def jpeg(self, sample: int) -> bytes:
        with self._lock:
            if self._jpegs is None:
                self._jpegs = dict(enumerate(self._read(self.samples.row)))
            return self._jpegs.pop(sample)

    def jpegs(self, samples: list[int]) -> list[bytes]:
        """Return the JPEGs of some samples, read again: they may be chosen later."""
        return self._read(self.samples.row[samples])

    def after(self, sample: int) -> Iterator[tuple[int, bytes]]:
        """Yield the other samples of the row group and their JPEGs, from the next one on."""
        others = np.roll(np.arange(len(self)), -sample - 1)[:-1]
        for other in others.tolist():
            yield other, self._read(self.samples.row[[other]])[0]

    def _read(self, rows: NDArray[np.int64]) -> list[bytes]:
        column = self._store.reader(self._shard).jpegs(self._group)
        return [column[row].as_py() for row in rows.tolist()]

    def __str__(self) -> str:
        return f"{self._store.manifest.shards[self._shard].path} row group {self._group}"


Pick = tuple[OpenGroup, int]


class FrameSampler:
    """Random crops of the frames of chosen clips, in batches of one process.

    All processes share one sequence of samples per epoch (`ssat.frames.order`): a global step is `order_batch`
    consecutive samples, of which each process takes an equal part. Order, crops and what stands in for a corrupt row
    follow from seed, epoch, `order_batch` and `lanes`; the number of processes, threads and resumption change nothing.

    Attributes:
        steps_per_epoch: batches of an epoch, equal on every process, from the manifest and the clip table alone.
        skipped: rows that this process could not decode so far; the next row of their row group stands in for each.
        empty_classes: class ids among `class_ids` that have no frames, since their clip failed to decode.
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
        order_batch: int | None = None,
        lanes: int = 1,
    ) -> None:
        """Prepare to draw; reads no frame yet.

        Args:
            store: the opened frame store.
            class_ids: class ids of the clips to draw from; the label of a clip is its position here.
            batch_size: crops of a batch of this process.
            crop: side of a crop in pixels.
            short_side: the crop is taken from the frame at this short side, in pixels.
            frames_per_clip: frames of each clip in an epoch, others in every epoch; None: all.
            seed: of the order, the choice of frames and the crops.
            process_rank: this process among `world_size`.
            world_size: processes that share an epoch.
            workers: threads that decode ahead; 0 decodes in the caller's thread.
            augment: what else happens to a crop; None: nothing.
            order_batch: samples of a step that the order is made for; None: `batch_size` · `world_size`.
            lanes: independent parts of the order; with 1 every process reads every row group, with a multiple of
                `world_size` each row group is read by one process.

        Raises:
            InputError: sizes that do not fit, or clips that the store does not have.
        """
        if batch_size < 1 or world_size < 1 or not 0 <= process_rank < world_size or workers < 0:
            raise InputError(
                f"batch_size {batch_size}, process_rank {process_rank} of world_size {world_size}, workers {workers}: "
                "expected batch_size ≥ 1, 0 ≤ process_rank < world_size and workers ≥ 0"
            )
        _check_crop(crop, short_side)
        self._order_batch = order_batch or batch_size * world_size
        if lanes < 1 or self._order_batch % lanes:
            raise InputError(f"lanes {lanes}: expected a divisor of the {self._order_batch} samples of a step")
        self._store = store
        self._selection = self._select(class_ids, frames_per_clip, seed)
        self._batch_size = batch_size
        self._crop = crop
        self._short_side = short_side
        self._seed = seed
        self._rank = process_rank
        self._world = world_size
        self._workers = workers
        self._augment = augment or Augment()
        self._lanes = lanes
        self._groups = [
            (shard, group)
            for shard, entry in enumerate(store.manifest.shards)
            if self._selection.touches(entry)
            for group in range(entry.row_groups)
        ]
        self._facts: dict[tuple[int, int], RowGroup] = {}
        self._count_lock = threading.Lock()
        self.steps_per_epoch = self.steps_after(0)
        self.skipped = 0
        self.empty_classes = self._selection.empty_classes

    def _select(self, class_ids: Sequence[int], frames_per_clip: int | None, seed: int) -> Selection:
        return Selection(self._store, class_ids, frames_per_clip, seed)

    def steps_after(self, samples: int) -> int:
        """Return the steps of an epoch that remain after `samples` samples, taken by all processes together."""
        return (self._selection.size - samples) // (self._batch_size * self._world)

    def epoch(
        self,
        epoch: int,
        start_step: int = 0,
        *,
        start_sample: int = 0,
        crop: int | None = None,
        short_side: int | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of `epoch`: crops (B, c, c, 3) uint8 RGB, labels (B,) int64.

        Args:
            epoch: 0-based.
            start_step: steps that are left out.
            start_sample: samples of the epoch that are left out besides, taken by all processes together.
            crop: replaces that of the sampler for this epoch (progressive resizing).
            short_side: likewise.

        Raises:
            InputError: a shard is missing or damaged, or too many rows cannot be decoded.
        """
        size, side = crop or self._crop, short_side or self._short_side
        _check_crop(size, side)
        batches = self.batches(epoch, start_sample + start_step * self._batch_size * self._world)
        if self._workers == 0:
            for first, picks in batches:
                yield self._decode(epoch, first, picks, size, side)
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="frames")
        ahead: deque[Future[Batch]] = deque()
        try:
            for first, picks in batches:
                ahead.append(pool.submit(self._decode, epoch, first, picks, size, side))
                if len(ahead) > self._workers + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Also if the caller stops early: decoding must end.
            pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, epoch: int, start: int) -> Iterator[tuple[int, list[Pick]]]:
        """Yield position and samples of each batch of this process, from position `start` of the epoch on."""
        order = EpochOrder(
            lambda group, again: self._open(group, epoch + again),
            len(self._groups),
            self._seed,
            epoch,
            self._order_batch,
            self._lanes,
        )
        together = self._batch_size * self._world
        for step in range(self.steps_after(start)):
            first = start + step * together + self._rank * self._batch_size
            picks = order.take(first, self._batch_size)
            if len(picks) < self._batch_size:
                return
            yield first, picks

    def _open(self, number: int, epoch: int) -> OpenGroup:
        shard, group = self._groups[number]
        facts = self._facts.get((shard, group))
        if facts is None:
            facts = self._store.reader(shard).facts(group)
            if len(self._groups) <= _CACHED_GROUPS:
                self._facts[shard, group] = facts
        return OpenGroup(self._store, shard, group, facts, self._selection.of_group(facts, epoch, shard))

    def _decode(self, epoch: int, first: int, picks: list[Pick], crop: int, short_side: int) -> Batch:
        draws = sample_draws(self._seed, epoch, first, len(picks), batch=self._order_batch, width=DRAWS)
        images = np.empty((len(picks), crop, crop, 3), np.uint8)
        labels = np.empty(len(picks), np.int64)
        decoder = FrameDecoder()
        for i, (group, sample) in enumerate(picks):
            sample, frame = self._frame(group, sample, decoder, short_side)
            labels[i] = group.samples.label[sample]
            self._augment.into(images[i], frame, short_side, draws[i])
        return images, labels

    def _frame(
        self, group: OpenGroup, sample: int, decoder: FrameDecoder, short_side: int
    ) -> tuple[int, NDArray[np.uint8]]:
        """Return the sample and its frame, valid until the next call; a corrupt one is replaced."""
        try:
            return sample, decoder.decode(group.jpeg(sample), short_side)
        except ValueError as problem:
            self._count_corrupt(group, sample, problem)
            return _stand_in(group, sample, decoder, short_side)

    def _count_corrupt(self, group: OpenGroup, sample: int, problem: Exception) -> None:
        with self._count_lock:
            self.skipped += 1
            skipped = self.skipped
        row = int(group.samples.row[sample])
        _logger.warning(
            "%s: row %d (class id %d, frame %d) is skipped: %s",
            group,
            row,
            group.facts.class_id[row],
            group.facts.frame_index[row],
            problem,
        )
        if skipped > max(16, _MAX_CORRUPT * self._selection.size):
            raise InputError(
                f"{self._store.folder}: {skipped} rows cannot be decoded ({group}, row {row}: {problem}); run "
                "the stage verify with setting `repair`"
            )


def _stand_in(group: OpenGroup, sample: int, decoder: FrameDecoder, short_side: int) -> tuple[int, NDArray[np.uint8]]:
    """Return the next readable sample of the row group; the same on every process."""
    for other, jpeg in group.after(sample):
        try:
            return other, decoder.decode(jpeg, short_side)
        except ValueError:
            continue
    raise InputError(f"{group}: no row can be decoded; run the stage verify with setting `repair`")


def _check_crop(crop: int, short_side: int) -> None:
    if not 1 <= crop <= short_side:
        raise InputError(
            f"crop {crop} does not fit into a frame of short side {short_side}: expected crop ≤ short side"
        )
