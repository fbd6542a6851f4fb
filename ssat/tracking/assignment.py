"""Assign detections to tracks, given the costs and a threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
Assignment = Callable[[NDArray[np.float64], float], Pairs]  # cost (T, D), threshold → rows and columns of the pairs
NO_PAIRS: Pairs = (np.empty(0, np.intp), np.empty(0, np.intp))
_FREE = -1
_STEP = 0.05  # by which the threshold of `mutual` falls
_SMALL = 512  # entries: below, sorting at once is the quickest
_FEW = 16  # another pass is worthwhile while it settles more than one row in this many


def greedy(distance_TD: NDArray[np.float64], threshold: float) -> Pairs:
    """Match the nearest pair below `threshold`, then the nearest among the rest, and so on.

    Equal distances are taken in the order of (track, detection).

    Returns:
        Rows (ascending) and columns of the pairs.
    """
    if not distance_TD.size:
        return NO_PAIRS
    rows, columns = (distance_TD < threshold).nonzero()
    if _without_rivals(rows, columns):
        return rows, columns
    n_tracks, n_detections = distance_TD.shape
    taken_T: list[int] = [_FREE] * n_tracks
    if distance_TD.size > _SMALL:
        distance_TD = _settle_mutual(distance_TD, threshold, taken_T)
    flat = distance_TD.ravel()
    candidates = (flat < threshold).nonzero()[0]
    # A stable sort keeps the row-major order of equal distances, which is the order of (track, detection).
    order = candidates[flat[candidates].argsort(kind="stable")]
    free_detections = [True] * n_detections
    left = min(n_tracks, n_detections)
    for index in order.tolist():
        track, detection = divmod(index, n_detections)
        if taken_T[track] == _FREE and free_detections[detection]:
            taken_T[track] = detection
            free_detections[detection] = False
            left -= 1
            if not left:
                break
    columns_T = np.array(taken_T, np.intp)
    rows = (columns_T != _FREE).nonzero()[0]
    return rows, columns_T[rows]


def _without_rivals(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> bool:
    """Return whether each row and column has one candidate at most, as in most frames: any rule matches them all."""
    return len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))


def _settle_mutual(distance_TD: NDArray[np.float64], threshold: float, taken_T: list[int]) -> NDArray[np.float64]:
    """Match every pair that is the first minimum of its row and of its column, while that settles many.

    Nothing in its row or column comes before such a pair, so the greedy order is bound to choose it; settling all of
    them at once saves sorting a large matrix.

    Returns:
        The distances with the rows and columns of settled pairs at infinity.
    """
    distance_TD = np.where(distance_TD < threshold, distance_TD, np.inf)
    every_T = np.arange(len(distance_TD))
    while True:
        nearest_T = distance_TD.argmin(axis=1)
        mutual_T = (distance_TD.argmin(axis=0)[nearest_T] == every_T) & (distance_TD[every_T, nearest_T] < np.inf)
        rows = mutual_T.nonzero()[0]
        columns = nearest_T[rows]
        for track, detection in zip(rows.tolist(), columns.tolist(), strict=True):
            taken_T[track] = detection
        distance_TD[rows] = np.inf
        distance_TD[:, columns] = np.inf
        if len(rows) * _FEW <= len(every_T):
            return distance_TD


def mutual(cost_TD: NDArray[np.float64], threshold: float) -> Pairs:
    """Match pairs that are each other's best, in rounds with a falling threshold (TrackTrack, CVPR 2025).

    Each round matches all mutual minima below the threshold, removes them, and lowers the threshold by 0.05: a pair
    that is best only because better ones are gone must be nearer.

    Returns:
        Rows (ascending) and columns of the pairs.
    """
    if not cost_TD.size:
        return NO_PAIRS
    cost_TD = cost_TD.copy()
    every_T = np.arange(len(cost_TD))
    columns_T = np.full(len(cost_TD), _FREE)
    while threshold > 0:
        best_T = cost_TD.argmin(axis=1)
        matched_T = (cost_TD.argmin(axis=0)[best_T] == every_T) & (cost_TD[every_T, best_T] < threshold)
        rows = matched_T.nonzero()[0]
        if not len(rows):
            break
        columns_T[rows] = best_T[rows]
        cost_TD[rows] = np.inf
        cost_TD[:, best_T[rows]] = np.inf
        threshold -= _STEP
    rows = (columns_T != _FREE).nonzero()[0]
    return rows, columns_T[rows]


def hungarian(distance_TD: NDArray[np.float64], threshold: float) -> Pairs:
    """Return the pairs below `threshold` with the smallest sum of costs; an unmatched track costs `threshold`.

    Returns:
        Rows (ascending) and columns of the pairs.
    """
    if not distance_TD.size:
        return NO_PAIRS
    rows, columns = (distance_TD < threshold).nonzero()
    if _without_rivals(rows, columns):
        return rows, columns
    from scipy.optimize import linear_sum_assignment

    # Clamped, a forbidden pair costs as much as staying unmatched, and infinite costs are avoided.
    rows, columns = linear_sum_assignment(np.minimum(distance_TD, threshold))
    below = distance_TD[rows, columns] < threshold
    return rows[below], columns[below]
