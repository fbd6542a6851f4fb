"""Training batches of instances: several crops of each frame, in an order and resumable as in `FrameSampler`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder, Image
from ssat.frames.instances import MAX_PER_CLIP, InstanceTable, PartBoxes
from ssat.frames.sampler import Batch, FrameSampler, OpenGroup, Pick
from ssat.frames.selection import Selection
from ssat.frames.store import FrameStore, RowGroup

# Boxes are cut from the frame as it is stored; one of twice this short side is decoded at half its size.
_SHORT_SIDE = 256
_BANK_FRAMES = 4  # frames of each row group that lend backgrounds to the others
_VIEWS, _BANK = 7, 8  # kinds of random numbers that belong to one position of an epoch


class Views(Protocol):
    """Rule that turns boxes into training crops."""

    def cut(self, frame: Image, box: NDArray[np.float64]) -> Image:
        """Return what a view of a box (x1 y1 x2 y2, pixels) is made of; keeps nothing of `frame`."""
        ...

    def view(self, cut: Image, others: Sequence[Image], side: int, rng: np.random.Generator) -> Image:
        """Return a crop (side, side, 3) of a cut; `others`, which may be none, lend backgrounds and covers."""
        ...


class _InstanceFrames(Selection):
    """As `Selection`, of the frames that show an instance."""

    def __init__(
        self, store: FrameStore, table: InstanceTable, clips: Sequence[int], frames_per_clip: int | None, seed: int
    ) -> None:
        counts = np.zeros(len(store.frames_of), np.int64)
        counts[: len(table.frames_of)] = table.frames_of[: len(counts)]
        super().__init__(store, clips, frames_per_clip, seed, counts)
        self._table = table

    def ordinal(self, shard: int, facts: RowGroup) -> NDArray[np.int64]:
        return self._table.part(shard).ordinal(facts.class_id, facts.frame_index)


class InstanceSampler(FrameSampler):
    """Crops of the instances of chosen clips: each frame that is drawn gives `per_frame` of them.

    They are of different instances as long as the frame shows so many; then some are seen again. So a batch holds
    several things of one frame, which a tracker has to distinguish. Labels are positions in `class_ids` of the table.
    Backgrounds come from the same frame or from a few others of the same row group. As in `FrameSampler`, nothing
    depends on the number of processes.
    """

    def __init__(
        self,
        store: FrameStore,
        table: InstanceTable,
        views: Views,
        *,
        clips: Sequence[int],
        batch_size: int,
        per_frame: int,
        crop: int,
        frames_per_clip: int | None = None,
        seed: int = 0,
        process_rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        order_batch: int | None = None,
        lanes: int = 1,
    ) -> None:
        """Prepare to draw.

        Args:
            store: the opened frame store.
            table: its instances.
            views: how boxes become crops.
            clips: class ids of the clips to draw from, ascending.
            batch_size: crops of a batch of this process, a multiple of `per_frame`.
            per_frame: crops of a frame.
            crop: side of a crop, pixels.
            frames_per_clip: frames of each clip in an epoch, others in every epoch; None: all that show an instance.
            seed: of the order, the choice of frames and instances, and the views.
            process_rank: this process among `world_size`.
            world_size: processes that share an epoch.
            workers: threads that decode ahead; 0 decodes in the caller's thread.
            order_batch: crops of a step that the order is made for; None: `batch_size` · `world_size`.
            lanes: independent parts of the order, see `FrameSampler`.

        Raises:
            InputError: sizes that do not fit, or clips that the store does not have.
        """
        if per_frame < 1 or batch_size % per_frame:
            raise InputError(f"batch_size {batch_size}: expected a multiple of the {per_frame} crops of a frame")
        self._table = table
        self._views = views
        self.per_frame = per_frame
        self._first_label = np.zeros(len(store.frames_of) + 1, np.int64)
        chosen = [clip for clip in clips if clip < len(table.classes_of)]
        self._first_label[chosen] = np.cumsum(table.classes_of[chosen]) - table.classes_of[chosen]
        super().__init__(
            store,
            class_ids=clips,
            batch_size=batch_size // per_frame,
            crop=crop,
            short_side=max(crop, _SHORT_SIDE),
            frames_per_clip=frames_per_clip,
            seed=seed,
            process_rank=process_rank,
            world_size=world_size,
            workers=workers,
            order_batch=None if order_batch is None else order_batch // per_frame,
            lanes=lanes,
        )

    def _select(self, class_ids: Sequence[int], frames_per_clip: int | None, seed: int) -> Selection:
        return _InstanceFrames(self._store, self._table, class_ids, frames_per_clip, seed)

    def steps_after(self, samples: int) -> int:
        """Return the steps of an epoch that remain after `samples` crops, taken by all processes together."""
        return super().steps_after(samples // self.per_frame)

    def epoch(
        self,
        epoch: int,
        start_step: int = 0,
        *,
        start_sample: int = 0,
        crop: int | None = None,
        short_side: int | None = None,
    ) -> Iterator[Batch]:
        """As `FrameSampler.epoch`; `start_sample` counts crops, `short_side` is not used."""
        side = max(crop or self._crop, _SHORT_SIDE)
        return super().epoch(epoch, start_step, start_sample=start_sample // self.per_frame, crop=crop, short_side=side)

    def _decode(self, epoch: int, first: int, picks: list[Pick], crop: int, short_side: int) -> Batch:
        images = np.empty((len(picks) * self.per_frame, crop, crop, 3), np.uint8)
        labels = np.empty(len(images), np.int64)
        decoder = FrameDecoder()
        for i, (group, drawn) in enumerate(picks):
            rng = np.random.default_rng([self._seed, epoch, first + i, _VIEWS])
            bank = self._bank(group, epoch, decoder)
            sample, frame = self._frame(group, drawn, decoder, _SHORT_SIDE)
            class_ids, boxes = self._boxes(group, sample, frame)
            cuts = [self._views.cut(frame, box) for box in boxes]
            chosen = np.resize(rng.permutation(len(cuts)), self.per_frame)
            clip = int(group.facts.class_id[group.samples.row[sample]])
            for j, box in enumerate(chosen.tolist(), start=i * self.per_frame):
                same_frame = [cut for other, cut in enumerate(cuts) if other != box]
                others = same_frame if same_frame and rng.random() < 0.5 else bank or same_frame
                images[j] = self._views.view(cuts[box], others, crop, rng)
                labels[j] = self._first_label[clip] + class_ids[box] - clip * MAX_PER_CLIP
        return images, labels

    def _bank(self, group: OpenGroup, epoch: int, decoder: FrameDecoder) -> list[Image]:
        """Return cuts of a few frames of the row group, the same on every process; they provide backgrounds."""
        with group.bank_lock:
            if group.bank is None:
                rng = np.random.default_rng([self._seed, epoch, group.shard, group.number, _BANK])
                some = rng.permutation(len(group))[:_BANK_FRAMES].tolist()
                jpegs = group.jpegs(some)
                frames = zip(some, jpegs, strict=True)
                group.bank = [cut for frame in frames for cut in self._cuts(group, *frame, decoder)]
            return group.bank

    def _cuts(self, group: OpenGroup, sample: int, jpeg: bytes, decoder: FrameDecoder) -> list[Image]:
        try:
            frame = decoder.decode(jpeg, _SHORT_SIDE)
        except ValueError:
            return []  # counted where it is drawn itself
        return [self._views.cut(frame, box) for box in self._boxes(group, sample, frame)[1]]

    def _boxes(self, group: OpenGroup, sample: int, frame: Image) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return class ids (n,) and boxes (n, 4), pixels of `frame`, of the instances in a sample's frame."""
        part: PartBoxes = self._table.part(group.shard)
        row = int(group.samples.row[sample])
        class_ids, shares = part.of_frame(int(group.facts.class_id[row]), int(group.facts.frame_index[row]))
        height, width = frame.shape[:2]
        return class_ids, shares.astype(np.float64) * (width, height, width, height)
