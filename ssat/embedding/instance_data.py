"""Training data of followed things: views of boxes to train on, plain boxes of held-out clips to score."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.held_out import HeldOutFrames
from ssat.embedding.patches import crop_patches
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder
from ssat.frames.instance_sampler import InstanceSampler
from ssat.frames.instances import MAX_PER_CLIP, InstanceTable
from ssat.frames.store import FrameStore
from ssat.patches.clips import cut_out
from ssat.patches.views import Image, ViewRule, view_of_cut

# Patches last five seconds at most: the longest gap that most of them have.
_OTHER_GAPS_S = (0.1, 3.0)
_HELD_OUT_BOXES = 6  # of each instance
_SHORT_SIDE = 256


def data_digest(store: FrameStore, instances: InstanceTable | None) -> str:
    """Return what names the data of a training: the store's digest, joined with that of the instances."""
    if instances is None:
        return store.digest
    return hashlib.sha256(f"{store.digest} {instances.digest}".encode()).hexdigest()


@dataclass(frozen=True)
class PatchViews:
    """Crops of followed patches as `ssat.patches.views` draws them."""

    rule: ViewRule

    @classmethod
    def of(cls, settings: TrainSettings) -> PatchViews:
        """Return the views that the settings ask for."""
        classes = settings.classes
        return cls(
            ViewRule(
                background=classes.background,
                cover=classes.cover,
                shift=classes.misplace,
                scale=1.5 * classes.misplace,
                blur=classes.blur,
                mirror=0.5 if settings.augmentation.flip else 0.0,
            )
        )

    def cut(self, frame: Image, box: NDArray[np.float64]) -> Image:
        """Return the box and what is around it."""
        return cut_out(frame, box)

    def view(self, cut: Image, others: Sequence[Image], side: int, rng: np.random.Generator) -> Image:
        """Return a crop (side, side, 3) of a cut in front of and behind others."""

        def other() -> Image:
            chosen = others[int(rng.integers(len(others)))] if others else cut
            return chosen[:, ::-1] if rng.random() < 0.5 else chosen

        return view_of_cut(cut, other, other, rng, self.rule, (side, side))


def instance_sampler(
    settings: TrainSettings, store: FrameStore, table: InstanceTable, clips: Sequence[int], rank: int, world: int
) -> InstanceSampler:
    """Return the sampler of one process.

    Raises:
        InputError: fewer than two instances in the clips, or sizes that do not fit.
    """
    found = int(table.classes_of[[clip for clip in clips if clip < len(table.classes_of)]].sum())
    if found < 2:
        raise InputError(
            f"{table.folder}: {found} instances in the {len(clips)} clips to train on; expected at least 2. Clips need "
            "something that can be followed for a second: collect others, or use instances clip"
        )
    per_frame = settings.classes.per_frame
    return InstanceSampler(
        store,
        table,
        PatchViews.of(settings),
        clips=clips,
        batch_size=settings.optimiser.batch_size // per_frame // world * per_frame,
        per_frame=per_frame,
        crop=settings.data.crop,
        frames_per_clip=settings.data.frames_per_clip,
        seed=settings.seed,
        process_rank=rank,
        world_size=world,
        workers=settings.data.loader_threads,
        order_batch=settings.optimiser.batch_size,
        lanes=settings.data.lanes,
    )


def held_out_instances(store: FrameStore, table: InstanceTable, clips: Sequence[int], side: int) -> HeldOutFrames:
    """Return boxes of the instances of the clips `clips` that the held-out measure uses."""
    return instance_crops(store, table, clips, _HELD_OUT_BOXES, side)


def instance_crops(
    store: FrameStore, table: InstanceTable, clips: Sequence[int], boxes: int, side: int
) -> HeldOutFrames:
    """Return plain crops (n, side, side, 3) of `boxes` evenly spaced boxes of each instance, by class id and time.

    Raises:
        InputError: a frame or a part of the table that cannot be read.
    """
    crops: list[NDArray[np.uint8]] = []
    class_ids: list[int] = []
    times: list[int] = []
    decoder = FrameDecoder()
    chosen = _spread_boxes(store, table, clips, boxes)
    frames = store.select({clip: sorted(of_clip) for clip, of_clip in chosen.items()})
    for clip, rows in sorted(frames.items()):
        for frame_index, pts_us, jpeg in rows:
            try:
                frame = decoder.decode(jpeg, _SHORT_SIDE)
            except ValueError as error:
                raise InputError(
                    f"{store.folder}: frame {frame_index} of clip {clip} is damaged ({error}); expected "
                    "a JPEG. Run the stage verify with setting `repair`"
                ) from error
            height, width = frame.shape[:2]
            of_frame = chosen[clip][frame_index]
            shares = np.stack([box for _, box in of_frame]).astype(np.float64)
            patches, _ = crop_patches(frame, shares * (width, height, width, height), side)
            crops += list(patches)
            class_ids += [class_id for class_id, _ in of_frame]
            times += [pts_us] * len(of_frame)
    order = np.lexsort((times, class_ids))
    images = np.stack(crops)[order] if crops else np.empty((0, side, side, 3), np.uint8)
    return HeldOutFrames(images, np.array(class_ids, np.int64)[order], np.array(times, np.int64)[order], _OTHER_GAPS_S)


def _spread_boxes(
    store: FrameStore, table: InstanceTable, clips: Sequence[int], boxes: int
) -> dict[int, dict[int, list[tuple[int, NDArray[np.float32]]]]]:
    """Clip → frame → (class id, box) of the boxes to look at."""
    found: dict[int, dict[int, list[tuple[int, NDArray[np.float32]]]]] = {}
    for shard, entry in enumerate(store.manifest.shards):
        inside = [clip for clip in clips if entry.first_class_id <= clip <= entry.last_class_id]
        if not inside:
            continue
        part = table.part(shard)
        frame_of = np.repeat(part.frames, np.diff(part.starts))
        for class_id in np.unique(part.class_id[np.isin(part.class_id // MAX_PER_CLIP, inside)]).tolist():
            rows = np.flatnonzero(part.class_id == class_id)
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, boxes).round().astype(int))]
            for row in rows.tolist():
                of_clip = found.setdefault(class_id // MAX_PER_CLIP, {})
                frame = part.frame_index(int(frame_of[row]))
                of_clip.setdefault(frame, []).append((class_id, part.boxes[row]))
    return found
