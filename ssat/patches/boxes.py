"""One clip → the boxes of its followed patches in the frames that a frame store holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.patches.clips import greys_of, looked_at
from ssat.patches.follow import follow_patches
from ssat.patches.settings import FollowSettings

VERSION = "boxes-1"
_RATE = 5.0  # boxes of a patch a second: neighbouring frames are near-duplicates
_MIN_BOXES = 2  # boxes of a patch: one alone has no other view


@dataclass(frozen=True)
class FollowedBoxes:
    """Boxes of the patches of one clip, sorted by patch and time.

    All patches are seen in the same frames of the clip, as long as they last, so that a frame shows several.

    Attributes:
        number: (n,) number of the patch, 0 … k - 1.
        frame_index: (n,) frame of the clip, counted from 0 over all its frames.
        boxes: (n, 4) x1 y1 x2 y2 as shares of width and height; may reach beyond the picture.
        moving: how many of the patches move against the background.
    """

    number: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    boxes: NDArray[np.float64]
    moving: int

    def save(self, path: Path) -> None:
        """Write arrays only, nothing pickled."""
        with path.open("wb") as file:
            np.savez(file, number=self.number, frame_index=self.frame_index, boxes=self.boxes, moving=self.moving)

    @classmethod
    def load(cls, path: Path) -> FollowedBoxes:
        """Return what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["number"], arrays["frame_index"], arrays["boxes"], int(arrays["moving"]))


def boxes_of_clip(path: Path, settings: FollowSettings, seed: int, stride: int, stored: int) -> FollowedBoxes:
    """Follow patches through a video file; keep their boxes in stored frames, about five a second.

    Args:
        path: of the clip.
        settings: which patches are followed; `boxes` is not used, all boxes of the kept frames are.
        seed: of this clip.
        stride: frames 0, stride, 2 · stride … of the clip are stored.
        stored: how many frames are stored.

    Raises:
        VideoError: the file is no video, or breaks.
    """
    frames, rate, step = looked_at(path)
    # Of the used frames, every `grid`-th is kept: it is a stored one.
    smallest = stride // math.gcd(step, stride)
    grid = smallest * max(1, round(rate / _RATE / smallest))
    number, index, boxes = [], [], []
    patches = moving = 0
    for patch in follow_patches(greys_of(frames), rate, settings, seed):
        at = patch.first + np.arange(len(patch.boxes))
        kept = np.flatnonzero((at % grid == 0) & (at * step < stored * stride))
        if len(kept) < _MIN_BOXES:
            continue
        height, width = frames[patch.first].shape[:2]
        number += [patches] * len(kept)
        index += (at[kept] * step).tolist()
        boxes += list(patch.boxes[kept] / (width, height, width, height))
        patches += 1
        moving += patch.moving
    return FollowedBoxes(
        np.array(number, np.int64), np.array(index, np.int64), np.array(boxes, np.float64).reshape(-1, 4), moving
    )
