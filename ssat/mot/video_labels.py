"""Labels of the tracks in a video: what CVAT and COCO-video files are read into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssat.errors import InputError
from ssat.mot.detection_files import PEOPLE
from ssat.mot.rows import MAX_PIXELS, PEDESTRIAN, MotRows

LabelledBox = tuple[int, int, float, float, float, float, float]
"""Frame of the video from 0, identity, x1 y1 x2 y2 in pixels, flag (0: not to be scored)."""


@dataclass(frozen=True)
class VideoLabels:
    """Labels of one video.

    Attributes:
        rows: frames counted from 1 among those that were labelled.
        first: frame of the video, from 0, that is frame 1.
        step: frames of the video from one labelled frame to the next.
        n_frames: how many frames were labelled; None: the file does not say.
    """

    path: Path
    rows: MotRows
    first: int = 0
    step: int = 1
    n_frames: int | None = None

    def numbered(self, frame: int) -> int | None:
        """Return the number, from 1, of a frame of the video, from 0; None where it was not labelled."""
        steps, rest = divmod(frame - self.first, self.step)
        return None if rest or steps < 0 or (self.n_frames is not None and steps >= self.n_frames) else steps + 1


def labels_of(
    path: Path, boxes: Sequence[LabelledBox], *, first: int = 0, step: int = 1, n_frames: int | None = None
) -> VideoLabels:
    """Check the boxes of one video and number their frames.

    Raises:
        InputError: a coordinate that is not finite, a box without extent, or an identity twice in a frame.
    """
    for frame, identity, x1, y1, x2, y2, _ in boxes:
        where = f"{path}: track {identity}, frame {frame}"
        if not all(abs(value) <= MAX_PIXELS for value in (x1, y1, x2, y2)):
            raise InputError(f"{where}: box {x1:g} {y1:g} {x2:g} {y2:g}, expected finite numbers of pixels")
        if x2 <= x1 or y2 <= y1:
            raise InputError(
                f"{where}: box {x1:g} {y1:g} {x2:g} {y2:g} has no extent, expected left < right, top < bottom"
            )
    labels = VideoLabels(path, _rows([]), first, step, n_frames)
    numbered = [(number, *box[1:]) for box in boxes if (number := labels.numbered(box[0])) is not None]
    seen: set[tuple[int, int]] = set()
    for number, identity, *_ in numbered:
        if (number, identity) in seen:
            raise InputError(
                f"{path}: track {identity} has two boxes in frame {(number - 1) * step + first}; expected one"
            )
        seen.add((number, identity))
    return VideoLabels(path, _rows(numbered), first, step, n_frames)


def _rows(boxes: Sequence[LabelledBox]) -> MotRows:
    table = np.array(sorted(boxes), np.float64).reshape(-1, 7)
    return MotRows(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        table[:, 2:6].copy(),
        table[:, 6].copy(),
        np.full(len(table), PEDESTRIAN),
    )


def labels_of_people(path: Path, names: Iterable[str]) -> set[str]:
    """Return the class names that are read: those of people, or the only one of the file.

    Raises:
        InputError: several classes, and none of people.
    """
    present = set(names)
    people = {name for name in present if name.strip().lower() in PEOPLE}
    if not people and len(present) > 1:
        raise InputError(
            f"{path}: no class of people among {', '.join(sorted(map(repr, present)))}; expected one of "
            f"{', '.join(PEOPLE)}, or a single class. Rename the class of the people"
        )
    return people or present
