"""Split the clips of a frame store into training and held-out clips."""

from __future__ import annotations

from collections.abc import Sequence

from ssat.embedding.settings import DataSettings, TrainSettings
from ssat.errors import InputError
from ssat.frames.selection import Selection
from ssat.frames.store import FrameStore


def split_clips(data: DataSettings, available: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the class ids to train on (below N, so that larger trainings contain smaller ones) and to hold out.

    Args:
        data: `clips` (N) and `held_out_clips`.
        available: class ids that the store holds, ascending; clips that could not be decoded are absent.

    Raises:
        InputError: the store has too few clips.
    """
    held = data.held_out_clips
    first_held = data.clips
    if first_held is None:
        first_held = available[-held] if 0 < held < len(available) else (available[-1] + 1 if not held else 0)
    training = [class_id for class_id in available if class_id < first_held]
    if len(training) < 2:
        raise InputError(
            f"the frame store has {len(available)} clips and {held} are held out: at least 2 must remain to train on; "
            "collect and decode more, or lower train.held_out_clips"
        )
    held_out = [class_id for class_id in available if class_id >= first_held][:held]
    if len(held_out) < held or first_held > available[-1] + 1:
        raise InputError(
            f"setting train.clips: {first_held} to train on and {held} held out are more than the {len(available)} "
            "clips of the frame store; collect and decode more, or lower train.clips or train.held_out_clips"
        )
    return training, held_out


def check_clips(settings: TrainSettings, store: FrameStore) -> None:
    """Check that the frame store has enough clips and frames for a training.

    Raises:
        InputError: too few clips, or, where a class is a clip, fewer frames in an epoch than a batch takes.
    """
    training, _ = split_clips(settings.data, store.class_ids.tolist())
    if settings.classes.kind == "clip":
        batch_size = settings.optimiser.batch_size
        if Selection(store, training, settings.data.frames_per_clip, settings.seed).size < batch_size:
            raise small_epoch(batch_size, len(training))


def small_epoch(batch_size: int, n_clips: int) -> InputError:
    """Return the error for an epoch of `n_clips` clips that does not fill one batch."""
    return InputError(
        f"setting train.batch_size: {batch_size} images are more than one epoch of {n_clips} clips gives; lower it or "
        "raise train.frames_per_clip"
    )
