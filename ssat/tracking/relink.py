"""Join tracks of a finished result that show the same person, who left and returned.

Works on a whole result at once, so it is not online. Tracks that share a frame are different people; the distance of
their features measures the similarity of different people on this footage, from which follows how near two tracks must
be to be joined at a stated rate of false joins. No label is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError

_MIN_DIFFERENT = 10  # pairs of tracks that share a frame; fewer do not measure the distance of different people


@dataclass(frozen=True)
class RelinkRule:
    """Rule for joining tracks.

    Attributes:
        max_gap_seconds: longest absence.
        false_join_rate: share of joins that may be wrong, by the footage's own pairs of different people.
        min_boxes: shorter tracks have too few samples of the appearance and are not joined.
        max_speed: heights per second that a person may move while away; limits where a track may continue.
        rival_ratio: two tracks are left apart where one of them is nearly as much like a third that cannot be the
            other's person: at up to this many times the distance. 1 always joins the nearest.
        max_distance: joins a pair at this appearance distance (1 − cosine of mean features) or less instead of deriving
            the limit; needed where too few tracks share a frame.
    """

    max_gap_seconds: float = 300.0
    false_join_rate: float = 0.01
    min_boxes: int = 5
    max_speed: float = 5.0
    rival_ratio: float = 1.5
    max_distance: float | None = None


@dataclass(frozen=True)
class Join:
    """Two tracks that were joined: the earlier keeps its identity.

    Attributes:
        earlier, later: identities in the result that was given.
        gap_seconds: time between the two tracks.
        distance: 1 − cosine of the mean features.
    """

    earlier: int
    later: int
    gap_seconds: float
    distance: float


@dataclass(frozen=True)
class Relinked:
    """Outcome of linking a result.

    Attributes:
        ids: (n,) identity of every row.
        joins: in the order in which they were made.
        contested: pairs alike enough that were left apart, because a third track is almost as alike.
        limit: largest distance at which tracks are joined.
        different_pairs: pairs of tracks that share a frame, from which the limit follows.
        different_median: median distance of those.
        left_alone: tracks shorter than `min_boxes` or without appearance.
    """

    ids: NDArray[np.int64]
    joins: tuple[Join, ...]
    contested: int
    limit: float
    different_pairs: int
    different_median: float
    left_alone: int


@dataclass
class _Tracks:
    """Tracks that can be joined, a row each, in the order of their first frames."""

    ids: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    first_box: NDArray[np.float64]
    last_box: NDArray[np.float64]
    total: NDArray[np.float64]  # (T, F) sum of unit features


def relink(
    frames: NDArray[np.int64],
    ids: NDArray[np.int64],
    boxes_N4: NDArray[np.float64],
    features_NF: NDArray[np.float32],
    frame_rate: float,
    rule: RelinkRule | None = None,
) -> Relinked:
    """Join the tracks of a result over absences.

    The nearest admissible pair without a rival is joined first, its features are pooled, and so on (agglomerative
    clustering with constraints). A pair is admissible where no two of its tracks share a frame or lie too far apart to
    be reached, and some two of them are at most `max_gap_seconds` apart.

    Args:
        frames, ids: (n,) of the rows of the result, in any order.
        boxes_N4: (n, 4) x1 y1 x2 y2 in pixels.
        features_NF: (n, F) appearance of every row; zero rows have none.
        frame_rate: frames per second.

    Raises:
        InputError: shapes that do not fit, or too few tracks that share a frame and no `max_distance`.
    """
    rule = rule or RelinkRule()
    if not (len(frames) == len(ids) == len(boxes_N4) == len(features_NF)):
        raise InputError(
            f"{len(frames)} frames, {len(ids)} identities, {len(boxes_N4)} boxes and {len(features_NF)} features; "
            "expected a row of each per box of the result"
        )
    tracks, left_alone = _tracks(frames, ids, boxes_N4, features_NF, rule.min_boxes)
    together = _share_a_frame(frames, ids, tracks.ids)
    gap = _gaps(tracks) / frame_rate
    forbidden = together | ~_reachable(tracks, gap, rule)
    distances = _distances(tracks.total)
    different = distances[np.triu(together, k=1)]
    median = float(np.median(different)) if len(different) else float("nan")
    limit = rule.max_distance
    if limit is None:
        candidates = float((~forbidden & (gap > 0)).sum(axis=0).mean()) if len(tracks.ids) else 1.0
        limit = _limit(different, rule.false_join_rate / max(1.0, candidates))
    joins, contested, owner = _joined(tracks, gap, forbidden, limit, rule)
    new_of = dict(zip(tracks.ids.tolist(), tracks.ids[owner].tolist(), strict=True))
    new_ids = np.array([new_of.get(identity, identity) for identity in ids.tolist()], np.int64)
    return Relinked(new_ids, joins, contested, float(limit), len(different), median, left_alone)


def _joined(
    tracks: _Tracks,
    gap_TT: NDArray[np.float64],
    forbidden_TT: NDArray[np.bool_],
    limit: float,
    rule: RelinkRule,
) -> tuple[tuple[Join, ...], int, NDArray[np.intp]]:
    """Cluster the tracks; returns the joins, how many were contested and (T,) the earliest track of each cluster."""
    n = len(tracks.ids)
    owner = np.arange(n)
    total, forbidden = tracks.total.copy(), forbidden_TT.copy()
    near = np.abs(gap_TT) <= rule.max_gap_seconds
    distances = _distances(total)
    np.fill_diagonal(distances, np.inf)
    joins: list[Join] = []
    contested = np.zeros((n, n), bool)
    while True:
        # Tracks are in the order of their beginning: the upper triangle is (earlier, later).
        possible = ~forbidden & near & (distances <= limit)
        order = np.where(np.triu(possible & ~contested, k=1), distances, np.inf)
        if not np.isfinite(order).any():
            break
        kept, gone = (int(at) for at in np.unravel_index(int(order.argmin()), order.shape))
        distance = float(distances[kept, gone])
        if _has_rival(kept, gone, distances, possible, rule.rival_ratio):
            contested[kept, gone] = True
            continue
        away = np.abs(gap_TT[np.ix_(owner == kept, owner == gone)]).min()
        joins.append(Join(int(tracks.ids[kept]), int(tracks.ids[gone]), float(away), distance))
        owner[owner == gone] = kept
        total[kept] += total[gone]
        # No member of a cluster may be forbidden with any member of the other; near is near any of them.
        for matrix in (forbidden, near):
            matrix[kept] |= matrix[gone]
            matrix[:, kept] |= matrix[:, gone]
        mean = total / np.linalg.norm(total, axis=1, keepdims=True)
        distances[kept] = distances[:, kept] = np.where(np.isfinite(distances[kept]), 1 - mean @ mean[kept], np.inf)
        distances[gone] = distances[:, gone] = np.inf
        # Pairs that these two contested may be free now.
        contested[:] = False
    return tuple(joins), int(contested.sum()), owner


def _has_rival(
    first: int, second: int, distances_TT: NDArray[np.float64], possible_TT: NDArray[np.bool_], ratio: float
) -> bool:
    """Return whether one of the two could almost as well be joined to a third that is not the other's person."""
    for track, other in ((first, second), (second, first)):
        almost = possible_TT[track] & (distances_TT[track] <= ratio * distances_TT[first, second])
        almost[other] = False
        if (almost & ~possible_TT[other]).any():
            return True
    return False


def _tracks(
    frames: NDArray[np.int64],
    ids: NDArray[np.int64],
    boxes_N4: NDArray[np.float64],
    features_NF: NDArray[np.float32],
    min_boxes: int,
) -> tuple[_Tracks, int]:
    norms = np.linalg.norm(features_NF, axis=1)
    unit = features_NF.astype(np.float64) / np.where(norms > 0, norms, 1)[:, None]
    kept: list[tuple[int, NDArray[np.intp]]] = []
    identities = np.unique(ids)
    for identity in identities.tolist():
        rows = np.flatnonzero(ids == identity)
        if len(rows) >= min_boxes and (norms[rows] > 0).any():
            kept.append((identity, rows[np.argsort(frames[rows], kind="stable")]))
    kept.sort(key=lambda track: (int(frames[track[1][0]]), track[0]))
    rows_of = [rows for _, rows in kept]
    tracks = _Tracks(
        np.array([identity for identity, _ in kept], np.int64),
        np.array([frames[rows[0]] for rows in rows_of], np.int64),
        np.array([frames[rows[-1]] for rows in rows_of], np.int64),
        np.array([boxes_N4[rows[0]] for rows in rows_of], np.float64).reshape(-1, 4),
        np.array([boxes_N4[rows[-1]] for rows in rows_of], np.float64).reshape(-1, 4),
        np.array([unit[rows].sum(axis=0) for rows in rows_of], np.float64).reshape(len(kept), -1),
    )
    return tracks, len(identities) - len(kept)


def _share_a_frame(frames: NDArray[np.int64], ids: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.bool_]:
    known = np.isin(ids, kept)
    order = np.argsort(kept)
    track = order[np.searchsorted(kept[order], ids[known])]
    number = np.unique(frames[known], return_inverse=True)[1]
    present = np.zeros((len(kept), int(number.max(initial=-1)) + 1), np.float32)
    present[track, number] = 1
    return present @ present.T > 0


def _distances(total_TF: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = total_TF / np.linalg.norm(total_TF, axis=1, keepdims=True)
    distances: NDArray[np.float64] = 1 - mean @ mean.T
    return distances


def _gaps(tracks: _Tracks) -> NDArray[np.float64]:
    """Return (T, T) frames from the end of the row's track to the beginning of the column's; negative the other way.

    0 if the two overlap in time.
    """
    after: NDArray[np.float64] = np.maximum(tracks.first[None, :] - tracks.last[:, None], 0).astype(np.float64)
    return after - after.T


def _reachable(tracks: _Tracks, gap_TT: NDArray[np.float64], rule: RelinkRule) -> NDArray[np.bool_]:
    """Return (T, T), symmetric: one of the two may go on where and when the other ended."""
    centre_last = (tracks.last_box[:, :2] + tracks.last_box[:, 2:]) / 2
    centre_first = (tracks.first_box[:, :2] + tracks.first_box[:, 2:]) / 2
    way = np.linalg.norm(centre_last[:, None] - centre_first[None], axis=2)
    height = np.maximum(
        (tracks.last_box[:, 3] - tracks.last_box[:, 1])[:, None],
        (tracks.first_box[:, 3] - tracks.first_box[:, 1])[None, :],
    )
    # One height of tolerance: boxes at the moment of leaving are often cut.
    later: NDArray[np.bool_] = (gap_TT > 0) & (way <= height * (1 + rule.max_speed * np.maximum(gap_TT, 0)))
    return later | later.T


def _limit(different: NDArray[np.float64], rate: float) -> float:
    """Return the distance below which different people lie at most at `rate`, by a log-normal tail."""
    if len(different) < _MIN_DIFFERENT:
        raise InputError(
            f"{len(different)} pairs of tracks share a frame; expected at least {_MIN_DIFFERENT}, to "
            "measure the distance of different people. Set the largest distance of a join (max_distance)"
        )
    # Distances are positive and skewed; the sample itself is too small to show a tail of one in a thousand.
    logarithms = np.log(np.maximum(different, 1e-6))
    return float(np.exp(logarithms.mean() + NormalDist().inv_cdf(min(rate, 0.5)) * logarithms.std(ddof=1)))
