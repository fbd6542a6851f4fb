"""Which frames of a sequence are tracked and scored."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "train-half", "val-half"]


def split_frames(n_frames: int, split: Split) -> range:
    """The frames of a split, counted from 1.

    `train` is the whole sequence; `val-half` is CenterTrack's validation half, which the paper's ablations use:
    frames n//2 + 1 … n − 1 when they are counted from 0. `train-half` is what lies before it.
    """
    middle = n_frames // 2 + 1
    return {
        "train": range(1, n_frames + 1),
        "train-half": range(1, middle + 1),
        "val-half": range(middle + 1, n_frames + 1),
    }[split]
