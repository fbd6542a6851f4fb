"""Show new tracks from their first frame on, in results that may wait for their confirmation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.tracker import Tracks

Frame = TypeVar("Frame")


def backdated(frames: Iterable[tuple[Frame, Tracks]], confirm_hits: int) -> Iterator[tuple[Frame, Tracks]]:
    """Yield the same frames with the earlier boxes of tracks that are confirmed later; `confirm_hits` − 1 frames late.

    Not online: for files.
    """
    waiting: deque[tuple[Frame, Tracks]] = deque()
    for frame, tracks in frames:
        for index, (earlier_frame, earlier) in enumerate(waiting):
            waiting[index] = (earlier_frame, _with_confirmed(earlier, tracks.ids))
        waiting.append((frame, tracks))
        if len(waiting) >= confirm_hits:
            yield waiting.popleft()
    yield from waiting


def _with_confirmed(tracks: Tracks, confirmed: NDArray[np.int64]) -> Tracks:
    """Return the tracks of a frame, those of its unconfirmed ones included that are confirmed by now."""
    others = tracks.unconfirmed
    if others is None or not len(others):
        return tracks
    now = np.isin(others.ids, confirmed)
    if not now.any():
        return tracks
    index = np.concatenate((tracks.detection_index, others.detection_index[now]))
    order = index.argsort(kind="stable")
    scores = None
    if tracks.scores is not None and others.scores is not None:
        scores = np.concatenate((tracks.scores, others.scores[now]))[order]
    left = Tracks(
        others.ids[~now],
        others.boxes[~now],
        others.detection_index[~now],
        None if others.scores is None else others.scores[~now],
    )
    return replace(
        tracks,
        ids=np.concatenate((tracks.ids, others.ids[now]))[order],
        boxes=np.concatenate((tracks.boxes, others.boxes[now]))[order],
        detection_index=index[order],
        scores=scores,
        unconfirmed=left,
    )
