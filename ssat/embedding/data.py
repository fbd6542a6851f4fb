"""Which clips train, which are held out, and the batches and crops they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.augment import Augment
from ssat.frames.sampler import FrameSampler, read_crops
from ssat.frames.store import FrameStore

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

# Enough for stable scores, few enough to embed in seconds: 16 clips of 16 frames are 256 queries.
_HELD_OUT_FRAMES = 16
# Twice as many as a feature has numbers, from as many clips as that allows.
_WHITENING_CROPS = 1024


def split_ranks(settings: TrainSettings, available: Sequence[int]) -> tuple[list[int], list[int]]:
    """Ranks to train on (those below N, so that larger trainings contain smaller ones) and ranks held out, right after.

    Args:
        settings: `clips` (N) and `held_out_clips`.
        available: ranks that the store holds, ascending; ranks whose video could not be decoded are absent.

    Raises:
        InputError: the store has too few clips.
    """
    held = settings.held_out_clips
    first_held = settings.clips
    if first_held is None:
        first_held = available[-held] if 0 < held < len(available) else (available[-1] + 1 if not held else 0)
    training = [rank for rank in available if rank < first_held]
    if len(training) < 2:
        raise InputError(
            f"the frame store has {len(available)} clips and {held} are held out: at least 2 must remain to train on; "
            "collect and decode more, or lower train.held_out_clips"
        )
    held_out = [rank for rank in available if rank >= first_held][:held]
    if len(held_out) < held or first_held > available[-1] + 1:
        raise InputError(
            f"setting train.clips: {first_held} to train on and {held} held out are more than the {len(available)} "
            "clips of the frame store; collect and decode more, or lower train.clips or train.held_out_clips"
        )
    return training, held_out


class TrainingData:
    """The batches of one rank, and the held-out crops that all ranks share.

    Attributes:
        training: ranks of the clips that are classes, in the order of the labels.
        held_out: ranks of the held-out clips.
    """

    def __init__(self, settings: TrainSettings, store: FrameStore, rank: int, world: int) -> None:
        self._settings = settings
        self._store = store
        self.rank = rank
        self.world = world
        self.training, self.held_out = split_ranks(settings, store.ranks.tolist())
        self.classes = len(self.training)
        area = settings.area_min
        self._sampler = FrameSampler(
            store,
            class_ids=self.training,
            batch_size=settings.batch_size // world,
            crop=settings.crop,
            short_side=settings.short_side,
            frames_per_clip=settings.frames_per_clip,
            seed=settings.seed,
            process_rank=rank,
            world_size=world,
            workers=settings.loader_threads,
            order_batch=settings.batch_size,
            augment=Augment(
                flip=settings.flip,
                scale=None if area is None else (area, 1.0),
                aspect=None if area is None else (settings.aspect_min, settings.aspect_max),
                brightness=settings.brightness,
                contrast=settings.contrast,
            ),
        )
        if self._sampler.steps_per_epoch < 1:
            raise InputError(
                f"setting train.batch_size: {settings.batch_size} images are more than one epoch of "
                f"{self.classes} clips gives; lower it or raise train.frames_per_clip"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same on every rank."""
        return self._sampler.steps_per_epoch

    @property
    def corrupt_frames(self) -> int:
        """Frames skipped so far because their JPEG cannot be read."""
        return self._sampler.skipped

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of `epoch` (0-based) from `start_step` on: uint8 RGB crops (B, S, S, 3) and labels (B,)."""
        settings = self._settings
        crop, short_side = settings.crop, settings.short_side
        if epoch < settings.early_epochs and settings.early_crop is not None:
            crop, short_side = settings.early_crop, round(short_side * settings.early_crop / crop)
        return self._sampler.epoch(epoch, start_step, crop=crop, short_side=short_side)

    def held_out_crops(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """Centre crops of held-out clips, their clips and their times in microseconds."""
        return self._held_out

    def whitening_crops(self) -> NDArray[np.uint8]:
        """Centre crops of about a thousand frames of training clips."""
        clips = self.training[:: -(-2 * self.classes // _WHITENING_CROPS)]
        frames = max(2, _WHITENING_CROPS // len(clips))
        crops, _, _ = read_crops(self._store, clips, frames, self._settings.crop, self._settings.short_side)
        return crops

    @cached_property
    def _held_out(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        return read_crops(
            self._store,
            self.held_out,
            frames_per_clip=_HELD_OUT_FRAMES,
            crop=self._settings.crop,
            short_side=self._settings.short_side,
        )
