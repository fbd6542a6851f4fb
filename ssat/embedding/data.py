"""The training clips and their batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.clip_split import small_epoch, split_clips
from ssat.embedding.held_out import HeldOutFrames, held_out_frames
from ssat.embedding.instance_data import data_digest, held_out_instances, instance_crops, instance_sampler
from ssat.embedding.settings import AugmentationSettings, TrainSettings
from ssat.errors import InputError
from ssat.frames.augment import Augment
from ssat.frames.instances import MAX_PER_CLIP, InstanceTable
from ssat.frames.sampler import FrameSampler, read_crops
from ssat.frames.store import FrameStore

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

# Twice the dimension of a feature, from as many clips as possible.
_WHITENING_CROPS = 1024
_WHITENING_VIEWS = 3072  # several of a patch, for 160 clips


def augment_of(settings: AugmentationSettings) -> Augment:
    """Return what the settings ask for."""
    area = settings.area_min
    return Augment(
        flip=settings.flip,
        scale=None if area is None else (area, 1.0),
        aspect=None if area is None else (settings.aspect_min, settings.aspect_max),
        brightness=settings.brightness,
        contrast=settings.contrast,
    )


class TrainingData:
    """The batches of one process, and the held-out frames that all of them share.

    Attributes:
        training: class ids of the clips that train.
        held_out: class ids of the held-out clips.
        class_ids: of the classes, in the order of the labels: those clips, or the instances in them.
        classes: number of the labels.
        digest: names the data: the store, and the instances where there are some.
        world: processes that share the batches.
        images_per_step: images of a step over all processes.
    """

    def __init__(
        self, settings: TrainSettings, store: FrameStore, rank: int, world: int, instances: InstanceTable | None = None
    ) -> None:
        """Prepare to draw.

        Raises:
            InputError: settings that the store cannot serve, or no instances where they are asked for.
        """
        batch_size = settings.optimiser.batch_size
        if (instances is None) != (settings.classes.kind == "clip"):
            raise InputError(
                f"setting train.instances: {settings.classes.kind}, but "
                f"{'no instances table' if instances is None else 'an instances table'} is given; expected one for "
                "patch, none for clip"
            )
        self.settings = settings.data
        self._all = settings
        self.store = store
        self.instances = instances
        self.world = world
        self.training, self.held_out = split_clips(settings.data, store.class_ids.tolist())
        self.digest = data_digest(store, instances)
        if instances is None:
            self.class_ids = self.training
            self._sampler = self._frame_sampler(settings, rank)
        else:
            self.class_ids = instances.class_ids(self.training).tolist()
            self._sampler = instance_sampler(settings, store, instances, self.training, rank, world)
        self.classes = len(self.class_ids)
        self.images_per_step = self._images_of_process(settings) * world
        if self._sampler.steps_per_epoch < 1:
            raise small_epoch(batch_size, len(self.training))

    def _frame_sampler(self, settings: TrainSettings, rank: int) -> FrameSampler:
        return FrameSampler(
            self.store,
            class_ids=self.training,
            batch_size=settings.optimiser.batch_size // self.world,
            crop=settings.data.crop,
            short_side=settings.data.short_side,
            frames_per_clip=settings.data.frames_per_clip,
            seed=settings.seed,
            process_rank=rank,
            world_size=self.world,
            workers=settings.data.loader_threads,
            augment=augment_of(settings.augmentation),
            order_batch=settings.optimiser.batch_size,
            lanes=settings.data.lanes,
        )

    def _images_of_process(self, settings: TrainSettings) -> int:
        per_frame = 1 if self.instances is None else settings.classes.per_frame
        return settings.optimiser.batch_size // per_frame // self.world * per_frame

    def clip_of(self, label: int) -> int:
        """Return the class id of the clip that a class is, or is seen in."""
        return self.class_ids[label] // (1 if self.instances is None else MAX_PER_CLIP)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same on every process."""
        return self._sampler.steps_per_epoch

    @property
    def corrupt_frames(self) -> int:
        """Frames that this process skipped so far because their JPEG cannot be read."""
        return self._sampler.skipped

    def steps_left(self, images: int) -> int:
        """Return the steps of an epoch that remain after `images` images, over all processes."""
        return self._sampler.steps_after(images)

    def epoch(self, epoch: int, images: int = 0) -> Iterator[Batch]:
        """Yield this process's batches of `epoch` (0-based): uint8 RGB crops (B, S, S, 3) and labels (B,).

        `images` of the epoch, over all processes, are left out: they were trained on before.
        """
        crop, short_side = self.settings.crop_in(epoch)
        return self._sampler.epoch(epoch, start_sample=images, crop=crop, short_side=short_side)

    @cached_property
    def held_out_frames(self) -> HeldOutFrames:
        """Frames of the held-out clips, or boxes of the instances in them."""
        if self.instances is not None:
            return held_out_instances(self.store, self.instances, self.held_out, self.settings.crop)
        return held_out_frames(self.store, self.held_out, self.settings)

    @cached_property
    def whitening_views(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Crops (n, S, S, 3) as they are trained on, of about three thousand boxes, and their labels (n,).

        The same on every process; no epoch of the training draws them.

        Raises:
            InputError: the classes are clips.
        """
        if self.instances is None:
            raise InputError("setting train.whiten_within: for instances patch only, but instances is clip")
        sampler = instance_sampler(self._all, self.store, self.instances, self.training, 0, 1)
        batches = sampler.epoch(self._all.schedule.epochs, crop=self.settings.crop)
        wanted = -(-_WHITENING_VIEWS // self._all.optimiser.batch_size)
        views, labels = zip(*itertools.islice(batches, wanted), strict=True)
        return np.concatenate(views), np.concatenate(labels)

    def whitening_crops(self) -> NDArray[np.uint8]:
        """Return crops of about a thousand frames of training clips."""
        if self.instances is not None:
            clips = self.training[:: -(-len(self.training) // (_WHITENING_CROPS // 8))]
            return instance_crops(self.store, self.instances, clips, 2, self.settings.crop).crops[:_WHITENING_CROPS]
        clips = self.training[:: -(-2 * len(self.training) // _WHITENING_CROPS)]
        frames = max(2, _WHITENING_CROPS // len(clips))
        crops, _, _ = read_crops(self.store, clips, frames, self.settings.crop, self.settings.short_side)
        return crops
