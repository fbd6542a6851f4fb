"""Boxes for the frames in which a track was lost: known when the gap has ended, so not online."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Row = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]  # ids (n,), boxes (n, 4), scores (n,)


class GapFiller:
    """Filter that delays the tracks of consecutive frames and fills gaps by linear interpolation.

    It remembers the last `longest` frames, however long the input is.

    Args:
        longest: gaps of more frames than this stay.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._last: dict[int, tuple[int, NDArray[np.float64], float]] = {}  # identity → frame, box, score
        self._waiting: dict[int, list[Row]] = {}

    def add(
        self, frame: int, ids: NDArray[np.int64], boxes: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> Iterator[tuple[int, Row]]:
        """Take the tracks of the next frame; yield the frames that no later one can change, in order.

        Args:
            ids, boxes, scores: (n,) (n, 4) (n,).
        """
        self._waiting.setdefault(frame, []).append((ids, boxes, scores))
        for identity, box, score in zip(ids.tolist(), boxes, scores.tolist(), strict=True):
            if identity in self._last:
                self._fill(identity, frame, box, score)
            self._last[identity] = (frame, box, score)
        first = frame - self._longest  # the earliest frame after which a gap may still end
        self._last = {identity: last for identity, last in self._last.items() if last[0] >= first}
        yield from self._release(first)

    def finish(self) -> Iterator[tuple[int, Row]]:
        """Yield the frames that are left."""
        yield from self._release(max(self._waiting, default=0))

    def _fill(self, identity: int, frame: int, box: NDArray[np.float64], score: float) -> None:
        before, box_before, score_before = self._last[identity]
        missing = frame - before - 1
        if not 0 < missing <= self._longest:
            return
        share = (np.arange(1, missing + 1) / (missing + 1))[:, None]
        boxes = (1 - share) * box_before + share * box
        ids, scores = np.array([identity], np.int64), np.array([min(score_before, score)])
        for index in range(missing):
            row = (ids, boxes[index : index + 1], scores)
            self._waiting.setdefault(before + 1 + index, []).append(row)

    def _release(self, until: int) -> Iterator[tuple[int, Row]]:
        for number in sorted(number for number in self._waiting if number <= until):
            ids, boxes, scores = (np.concatenate(parts) for parts in zip(*self._waiting.pop(number), strict=True))
            order = ids.argsort(kind="stable")
            yield number, (ids[order], boxes[order], scores[order])


def interpolated(
    frames: NDArray[np.int64],
    ids: NDArray[np.int64],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    longest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows of a result with every gap of a track filled in along a straight line.

    Args:
        frames, ids, boxes, scores: (n,) (n,) (n, 4) (n,), in any order.
        longest: gaps of more frames than this stay.

    Returns:
        The same four with the new rows, sorted by frame, then identity; the score of a new row is that of its track's
        weaker end.
    """
    filler = GapFiller(longest)
    order = frames.argsort(kind="stable")
    numbers, starts = np.unique(frames[order], return_index=True)
    filled: list[tuple[int, Row]] = []
    for number, start, end in zip(numbers.tolist(), starts, [*starts[1:], len(frames)], strict=False):
        at = order[start:end]
        filled.extend(filler.add(number, ids[at], boxes[at], scores[at]))
    filled.extend(filler.finish())
    lengths = [len(row[0]) for _, row in filled]
    return (
        np.repeat(np.array([number for number, _ in filled], np.int64), lengths),
        np.concatenate([np.empty(0, np.int64), *(row[0] for _, row in filled)]),
        np.concatenate([np.empty((0, 4)), *(row[1] for _, row in filled)]),
        np.concatenate([np.empty(0), *(row[2] for _, row in filled)]),
    )
