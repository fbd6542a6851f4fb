"""Long memory: people who return after their track ended get their identity back (beyond the paper).

A track that ends leaves the sum of its features. A new track is compared with these every few frames, once it was seen
often enough. The comparison is the cosine of whitened means (`WithinTracks`), centred on the mean of all tracks. The
distance limit follows from the footage: tracks that share a frame are different people, and the distribution of their
distances gives the rate of different people within that distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.state import TrackState
from ssat.tracking.whitening import WithinTracks

MIN_DIFFERENT = 10  # pairs of tracks that share a frame; fewer do not measure the distance of different people
ATTEMPTS = tuple(range(24, 121, 8))  # matched frames of a track when it is compared
_MIN_HITS = 5  # shorter tracks are not remembered
_RIVAL_RATIO = 2.0  # an identity is not restored if another person is within this many times the distance
_MAX_LIMIT = 0.25  # of the mean distance of different people
_MAX_PAIRS = 400  # of different people, the newest
_GROWN = 1.1  # the distances of the pairs are recomputed when their number has grown by this factor
_NEVER = ATTEMPTS[-1] + 1


@dataclass(frozen=True)
class Recall:
    """A comparison of a new track with the people who left.

    Attributes:
        identity: of the track so far.
        former: who of those who left is nearest.
        distance: 1 - cosine of the two whitened means.
        limit: identities are given back up to this distance; None: too few pairs of different people to tell.
        rival: distance of the nearest other person, remembered or in the picture; None: there is none.
        regained: whether the identity was given back.
    """

    identity: int
    former: int
    distance: float
    limit: float | None
    rival: float | None
    regained: bool

    def __str__(self) -> str:
        numbers = f"nearest identity {self.former} at distance {self.distance:.3f}"
        if self.limit is None:
            return f"{numbers}: fewer than {MIN_DIFFERENT} pairs of different people to tell how near is near enough"
        numbers += f", limit {self.limit:.3f}"
        if self.rival is not None:
            numbers += f", nearest other person {self.rival:.3f} (needed: more than {_RIVAL_RATIO * self.distance:.3f})"
        if self.regained:
            return f"{numbers}: given back"
        return f"{numbers}: {'too far' if self.distance > self.limit else 'another person is too near as well'}"


@dataclass
class LongMemory:
    """The people who left.

    Attributes:
        life: frames for which they are remembered.
        false_join_rate: share of new tracks that may get another person's identity.
        ids: (M,) identities.
        feature_sums: (M, F) sum of the features of each.
        age: (M,) frames since they were last seen.
        different: the two identities of tracks that shared a frame → their means (2, F), L2-normalised.
        ended_sum, ended: sum (F,) and number of the means of all tracks that ended.
        earlier: identity of a track that got it back → sum (F,) of the features of the visits before.
        within: how features vary within tracks.
        regained: how many identities were given back.
        recalls: the comparisons of the last frame.
    """

    life: int
    false_join_rate: float
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    feature_sums: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    age: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    different: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)
    ended_sum: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    ended: int = 0
    earlier: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    within: WithinTracks = field(default_factory=WithinTracks)
    regained: int = 0
    recalls: list[Recall] = field(default_factory=list)
    # Of the distances of `different`: mean, standard deviation, and how many pairs there were when they were computed.
    _apart: tuple[float, float, int] | None = None
    _pairs_seen: int = 0
    _white: NDArray[np.float32] | None = None  # (M, F) whitened means of those who left

    def pass_time(self, frames: int) -> None:
        """Count frames, and forget who left too long ago."""
        if len(self.ids):
            self.age += frames
            if self.age.max() > self.life:
                self._keep(self.age <= self.life)

    def remember(self, state: TrackState, rows: NDArray[np.intp]) -> None:
        """Remember ended tracks that were matched often enough and whose appearance is known."""
        if state.feature_sum is None or state.hits is None:
            return
        rows = rows[(state.hits[rows] >= _MIN_HITS) & state.feature_sum[rows].any(axis=1)]
        if not len(rows):
            return
        sums_NF = state.feature_sum[rows]
        width = sums_NF.shape[1]
        self.ended_sum = _unit(sums_NF).sum(axis=0) + (self.ended_sum if self.ended else 0)
        self.ended += len(rows)
        for row, identity in enumerate(state.ids[rows].tolist()):
            if identity in self.earlier:
                sums_NF[row] += self.earlier.pop(identity)
        self.ids = np.concatenate((self.ids, state.ids[rows]))
        self.age = np.concatenate((self.age, state.time_since_update[rows]))
        self.feature_sums = np.concatenate((self.feature_sums.reshape(-1, width), sums_NF))
        self._white = None

    def regain(self, state: TrackState) -> tuple[tuple[int, int], ...]:
        """Return the tracks of this frame that show a returned person: identity so far, former identity.

        Restored identities are removed from the memory until their tracks end, and these are not compared again.
        """
        self.recalls = []
        if state.feature_sum is None or state.hits is None:
            return ()
        here = ((state.time_since_update == 0) & (state.hits >= _MIN_HITS)).nonzero()[0]
        due = here[[hits in ATTEMPTS for hits in state.hits[here].tolist()]] if len(here) else here
        if not len(due):
            return ()
        here = here[state.feature_sum[here].any(axis=1)]
        regained = []
        for row in np.intersect1d(due, here):
            others = here[here != row]
            means_NF = _unit(state.feature_sum[np.append(others, row)])
            ids = state.ids[np.append(others, row)].tolist()
            self._see_different(ids, means_NF)
            # A person who was seen since this track began is another one.
            before_M = self.age > (0 if state.age is None else state.age[row])
            remembered = self._recalled(ids[-1], means_NF, before_M) if before_M.any() else None
            if remembered is not None:
                former = int(self.ids[remembered])
                regained.append((ids[-1], former))
                self.earlier[former] = self.feature_sums[remembered]
                state.hits[row] = _NEVER
                self._keep(np.arange(len(self.ids)) != remembered)
        self.regained += len(regained)
        return tuple(regained)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `restore` takes."""
        self.within.flush()
        known = [*self.different.values(), *self.earlier.values(), self.feature_sums]
        width = known[0].shape[-1]
        transform = self.within.transform
        mean, spread, pairs = (0.0, 0.0, -1) if self._apart is None else self._apart
        return {
            "ids": self.ids,
            "feature_sums": self.feature_sums,
            "age": self.age,
            "different_ids": np.array(list(self.different), np.int64).reshape(-1, 2),
            "different": np.array(list(self.different.values()), np.float32).reshape(len(self.different), 2, width),
            "ended_sum": self.ended_sum,
            "earlier_ids": np.array(list(self.earlier), np.int64),
            "earlier": np.array(list(self.earlier.values()), np.float32).reshape(len(self.earlier), width),
            "scatter": self.within.scatter,
            "transform": np.zeros((0, 0), np.float32) if transform is None else transform,
            "counts": np.array([self.ended, self.within.count, self.within.renewed_at, self._pairs_seen]),
            "apart": np.array([mean, spread, pairs]),
        }

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Continue from the arrays of another memory."""
        self.ids, self.age = arrays["ids"], arrays["age"]
        if "means" in arrays:  # saved by an earlier version
            self.feature_sums = arrays["means"]
            self.ended_sum, self.ended = arrays["means"].sum(axis=0), len(self.ids)
            return
        self.feature_sums = arrays["feature_sums"]
        self.earlier = dict(zip(arrays["earlier_ids"].tolist(), arrays["earlier"], strict=True))
        pairs = [(first, second) for first, second in arrays["different_ids"].tolist()]
        self.different = dict(zip(pairs, arrays["different"], strict=True))
        self.ended_sum, self.within.scatter = arrays["ended_sum"], arrays["scatter"]
        self.within.transform = arrays["transform"] if arrays["transform"].size else None
        self.ended, self.within.count, self.within.renewed_at, self._pairs_seen = arrays["counts"].tolist()
        mean, spread, seen = arrays["apart"].tolist()
        self._apart = None if seen < 0 else (mean, spread, int(seen))

    def _see_different(self, ids: list[int], means_NF: NDArray[np.float32]) -> None:
        """Keep the means (N, F) of tracks that share a frame: pairs of the last one with each of the others."""
        for other, other_F in zip(ids[:-1], means_NF[:-1], strict=True):
            pair = (min(other, ids[-1]), max(other, ids[-1]))
            self.different.pop(pair, None)  # so that the newest stand last
            self.different[pair] = np.stack((means_NF[-1], other_F))
            self._pairs_seen += 1
        while len(self.different) > _MAX_PAIRS:
            del self.different[next(iter(self.different))]

    def _recalled(self, identity: int, means_NF: NDArray[np.float32], before_M: NDArray[np.bool_]) -> int | None:
        """Compare a track, the last of those in the picture, with those who left before it began (`before_M`).

        Returns:
            The row of the one whose identity is given back.
        """
        if self.within.renew():
            self._white = self._apart = None
        if self._white is None:
            self._white = self.within(_unit(self.feature_sums))
        centre_F = self.within((self.ended_sum + means_NF.sum(axis=0))[None] / (self.ended + len(means_NF)))
        remembered_MF, here_NF = _unit(self._white - centre_F), _unit(self.within(means_NF) - centre_F)
        distances = 1.0 - (remembered_MF @ here_NF[-1]).astype(np.float64)
        best = int(np.where(before_M, distances, np.inf).argmin())
        distance, limit = float(distances[best]), self._limit(centre_F)
        former = int(self.ids[best])
        if limit is None:
            self.recalls.append(Recall(identity, former, distance, None, None, regained=False))
            return None
        # Two remembered tracks that are near each other may be one person, and then are no rivals.
        rivals = distances[1.0 - remembered_MF @ remembered_MF[best] > limit]
        rivals = np.concatenate((rivals, 1.0 - here_NF[:-1] @ here_NF[-1]))
        refused = distance > limit or bool((rivals <= _RIVAL_RATIO * distance).any())
        rival = float(rivals.min()) if len(rivals) else None
        self.recalls.append(Recall(identity, former, distance, limit, rival, regained=not refused))
        return None if refused else best

    def _limit(self, centre_F: NDArray[np.float32]) -> float | None:
        """Return the largest distance at which an identity is given back; None below 10 pairs of different people.

        The quantile of the stated rate, shared among all who left, of the distance of the next pair of different people
        (prediction interval of a normal distribution, Student): the fewer pairs, the stricter.
        """
        from scipy.special import stdtrit  # here, because its import takes longer than all of this package's

        n = len(self.different)
        if n < MIN_DIFFERENT:
            return None
        if self._apart is None or self._pairs_seen >= _GROWN * self._apart[2]:
            white = self.within(np.concatenate(list(self.different.values()))) - centre_F
            pairs = _unit(white).reshape(n, 2, -1)
            distances = 1.0 - np.vecdot(pairs[:, 0], pairs[:, 1]).astype(np.float64)
            self._apart = (float(distances.mean()), float(distances.std(ddof=1)), self._pairs_seen)
        mean, spread, _ = self._apart
        rate = min(self.false_join_rate / len(self.ids), 0.5)
        limit = mean + float(stdtrit(n - 1, rate)) * spread * math.sqrt(1 + 1 / n)
        return max(0.0, min(limit, _MAX_LIMIT * mean))

    def _keep(self, kept_M: NDArray[np.bool_]) -> None:
        self.ids, self.age = self.ids[kept_M], self.age[kept_M]
        self.feature_sums = self.feature_sums[kept_M]
        if self._white is not None:
            self._white = self._white[kept_M]


def _unit(features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows L2-normalised; zero rows stay."""
    length_N = np.linalg.norm(features_NF, axis=-1, keepdims=True)
    unit_NF: NDArray[np.float32] = (features_NF / np.where(length_N > 0, length_N, 1)).astype(np.float32)
    return unit_NF
