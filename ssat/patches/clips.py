"""One clip → its followed patches, with a cut-out for each box that is kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.patches.follow import follow_patches
from ssat.patches.settings import FollowSettings
from ssat.video.display_matrix import Orientation
from ssat.video.untrusted import VideoError, frame_rate, open_video
from ssat.workspace import committed

VERSION = "patches-1"
_RATE = 15.0  # frames per second that are used: faster ones bring nothing but work
_SHORT_SIDE = 256  # pixels; larger frames are reduced
_MAX_SECONDS = 30.0
# A cut-out is the box enlarged by this, so that views can be misplaced like a detector's; the box is the middle part.
CONTEXT = 1.25
CUT_HEIGHT, CUT_WIDTH = 160, 80


@dataclass(frozen=True)
class PatchTable:
    """The kept boxes of followed patches, a row each, sorted by patch and time.

    Attributes:
        patch: (n,) number of the patch within the table.
        start: (n,) patches with the same number are seen in the same frames.
        frame: (n,) index of the frame among the used frames (15 a second).
        boxes: (n, 4) x1 y1 x2 y2 as shares of width and height of the picture.
        motion: (n,) motion against the background, pixels within a few frames.
        cuts: (n, 160, 80, 3) uint8 RGB: the box and a quarter more.
    """

    patch: NDArray[np.int64]
    start: NDArray[np.int64]
    frame: NDArray[np.int64]
    boxes: NDArray[np.float64]
    motion: NDArray[np.float64]
    cuts: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.patch)

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return int(self.patch[-1]) + 1 if len(self) else 0

    def save(self, path: Path) -> None:
        """Commit the table: arrays only, nothing pickled."""
        with committed(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> PatchTable:
        """Return a table that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})


def joined(tables: list[PatchTable]) -> PatchTable:
    """Return one table of several, their patches and starts numbered on; an empty one of none."""
    if not tables:
        return _table([], [], [], [], [], [])
    patches, starts = np.cumsum([0, *(t.n_patches for t in tables)]), np.cumsum([0, *(_n_starts(t) for t in tables)])
    columns = {name: [getattr(table, name) for table in tables] for name in PatchTable.__dataclass_fields__}
    columns["patch"] = [table.patch + first for table, first in zip(tables, patches, strict=False)]
    columns["start"] = [table.start + first for table, first in zip(tables, starts, strict=False)]
    return PatchTable(**{name: np.concatenate(parts) for name, parts in columns.items()})


def _n_starts(table: PatchTable) -> int:
    return int(table.start.max(initial=-1)) + 1


def patches_of_clip(path: Path, settings: FollowSettings, seed: int) -> PatchTable:
    """Follow patches through a video file.

    Args:
        seed: of this clip.

    Raises:
        VideoError: the file is no video, or breaks.
    """
    frames, rate, _ = looked_at(path)
    greys = greys_of(frames)
    patch, start, at, boxes, motion, cuts = [], [], [], [], [], []
    for number, followed in enumerate(follow_patches(greys, rate, settings, seed)):
        kept = np.unique(np.linspace(0, len(followed.boxes) - 1, settings.boxes).round().astype(int))
        for index in kept.tolist():
            frame = frames[followed.first + index]
            height, width = frame.shape[:2]
            patch.append(number)
            start.append(followed.start)
            at.append(followed.first + index)
            boxes.append(followed.boxes[index] / (width, height, width, height))
            motion.append(followed.motion)
            cuts.append(cut_out(frame, followed.boxes[index]))
    return _table(patch, start, at, boxes, motion, cuts)


def _table(
    patch: list[int],
    start: list[int],
    frame: list[int],
    boxes: list[NDArray[np.float64]],
    motion: list[float],
    cuts: list[NDArray[np.uint8]],
) -> PatchTable:
    return PatchTable(
        np.array(patch, np.int64),
        np.array(start, np.int64),
        np.array(frame, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(motion, np.float64),
        np.array(cuts, np.uint8).reshape(-1, CUT_HEIGHT, CUT_WIDTH, 3),
    )


def greys_of(frames: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Return the frames (H, W) in grey."""
    return [np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames]


def looked_at(path: Path) -> tuple[list[NDArray[np.uint8]], float, int]:
    """Decode about 15 frames a second of a video, short side at most 256 pixels, upright.

    Returns:
        The frames (H, W, 3) RGB, how many a second they are, and their distance in frames of the video.

    Raises:
        VideoError: the file is no video, or breaks.
    """
    frames: list[NDArray[np.uint8]] = []
    try:
        container, stream = open_video(path)
        with closing(container):
            step = max(1, round(frame_rate(stream) / _RATE))
            rate = frame_rate(stream) / step
            for number, frame in enumerate(container.decode(stream)):
                if number % step:
                    continue
                if len(frames) >= _MAX_SECONDS * rate:
                    break
                scale = min(1.0, _SHORT_SIDE / min(frame.width, frame.height))
                width, height = round(frame.width * scale), round(frame.height * scale)
                small = frame.reformat(width, height, "rgb24", interpolation="AREA")
                upright = Orientation.of(frame).apply(np.asarray(small.to_ndarray(), np.uint8))
                picture = np.ascontiguousarray(upright)
                if frames and picture.shape != frames[0].shape:
                    break  # another size: what was followed ends here
                frames.append(picture)
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: breaks after {len(frames)} frames ({error.strerror or error})") from error
    return frames, rate, step


def cut_out(frame: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the box (x1 y1 x2 y2, pixels) with its surroundings, (160, 80, 3); the border of the picture is repeated.

    What is around is an eighth of the box on each side.
    """
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * CONTEXT
    x1, y1 = np.floor(centre - half).astype(int).tolist()
    x2, y2 = np.ceil(centre + half).astype(int).tolist()
    height, width = frame.shape[:2]
    part = frame[max(y1, 0) : max(min(y2, height), 1), max(x1, 0) : max(min(x2, width), 1)]
    border = (max(0, -y1), max(0, y2 - height), max(0, -x1), max(0, x2 - width))
    part = np.asarray(cv2.copyMakeBorder(part, *border, cv2.BORDER_REPLICATE), np.uint8)
    shrinks = part.shape[0] > CUT_HEIGHT and part.shape[1] > CUT_WIDTH
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (CUT_WIDTH, CUT_HEIGHT), interpolation=method))
