"""Splits: the frames of a sequence that are tracked and scored."""

from __future__ import annotations

from typing import Literal

from ssat.errors import InputError

Split = Literal["train", "train-half", "val-half", "test"]


def split_frames(n_frames: int, split: Split) -> range:
    """Return the frames of a split, counted from 1.

    `train` and `test` are whole sequences, with labels and without. `val-half` is CenterTrack's validation half, which
    the paper's ablations use: frames n//2 + 1 … n − 1 when they are counted from 0. `train-half` is what lies before.

    Raises:
        InputError: no frame is in it.
    """
    middle = n_frames // 2 + 1
    whole = range(1, n_frames + 1)
    chosen = {
        "train": whole,
        "train-half": range(1, middle + 1),
        "val-half": range(middle + 1, n_frames + 1),
        "test": whole,
    }[split]
    if not chosen:
        raise InputError(f"a sequence of {n_frames} frames has none in the split {split}; choose the split train")
    return chosen
