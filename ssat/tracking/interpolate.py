"""Boxes for the frames in which a track was lost, when the whole result is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolated(
    frames: NDArray[np.int64],
    ids: NDArray[np.int64],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    longest: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The rows of a result with every gap of a track filled in along a straight line.

    Not online: a gap is known when it has ended.

    Args:
        frames, ids, boxes, scores: (n,) (n,) (n, 4) (n,).
        longest: gaps of more frames than this stay.

    Returns:
        The same four with the new rows, sorted by frame, then identity; the score of a new row is that of its track's
        weaker end.
    """
    order = np.lexsort((frames, ids))
    frames, ids, boxes, scores = frames[order], ids[order], boxes[order], scores[order]
    missing = np.diff(frames) - 1
    gaps = ((ids[1:] == ids[:-1]) & (missing > 0) & (missing <= longest)).nonzero()[0]
    times = missing[gaps]
    start = np.repeat(gaps, times)
    step = np.arange(len(start)) - np.repeat(np.cumsum(times) - times, times) + 1
    share = (step / (np.repeat(times, times) + 1))[:, None]
    frames = np.concatenate((frames, frames[start] + step))
    ids = np.concatenate((ids, ids[start]))
    boxes = np.concatenate((boxes, (1 - share) * boxes[start] + share * boxes[start + 1]))
    scores = np.concatenate((scores, np.minimum(scores[start], scores[start + 1])))
    order = np.lexsort((ids, frames))
    return frames[order], ids[order], boxes[order], scores[order]
