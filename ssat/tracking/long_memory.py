"""Long memory: people who return after their track ended get their identity back (beyond the paper).

A track that ends leaves its mean appearance. A new track is compared with these a few times, once it was seen often
enough to have a mean of its own. The distance limit follows from the footage: tracks that share a frame are different
people, and the log-normal tail of their distances gives the rate of different people within that distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.state import TrackState

MIN_DIFFERENT = 10  # pairs of tracks that share a frame; fewer do not measure the distance of different people
ATTEMPTS = (24, 48, 72)  # matched frames of a track when it is compared
_MIN_HITS = 5  # shorter tracks are not remembered
_RIVAL_RATIO = 2.5  # an identity is not restored if another person is within this many times the distance
_SMALLEST = 1e-6  # of a distance, for its logarithm


@dataclass(frozen=True)
class Recall:
    """A comparison of a new track with the people who left.

    Attributes:
        identity: of the track so far.
        former: who of those who left is nearest.
        distance: 1 - cosine of the two means.
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
        means: (M, F) mean appearance, L2-normalised.
        age: (M,) frames since they were last seen.
        sums: count, sum and sum of squares of the logarithms of distances between tracks that share a frame.
        regained: how many identities were given back.
        recalls: the comparisons of the last frame.
    """

    life: int
    false_join_rate: float
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    means: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    age: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    regained: int = 0
    recalls: list[Recall] = field(default_factory=list)

    def pass_time(self, frames: int) -> None:
        """Count frames, and forget who left too long ago."""
        if len(self.ids):
            self.age += frames
            self._keep(self.age <= self.life)

    def remember(self, state: TrackState, rows: NDArray[np.intp]) -> None:
        """Remember ended tracks that were matched often enough and whose appearance is known."""
        if state.feature_sum is None or state.hits is None:
            return
        rows = rows[state.hits[rows] >= _MIN_HITS]
        means_NF, known_N = _means(state.feature_sum.take(rows, axis=0))
        if known_N.any():
            self.ids = np.concatenate((self.ids, state.ids[rows][known_N]))
            self.age = np.concatenate((self.age, state.time_since_update[rows][known_N]))
            self.means = np.concatenate((self.means.reshape(-1, means_NF.shape[1]), means_NF[known_N]))

    def regain(self, state: TrackState) -> tuple[tuple[int, int], ...]:
        """Return the tracks of this frame that show a returned person: identity so far, former identity.

        Restored identities are removed from the memory, and their tracks are not compared again.
        """
        self.recalls = []
        if state.feature_sum is None or state.hits is None:
            return ()
        here = (state.time_since_update == 0).nonzero()[0]
        due = [int(row) for row in here if state.hits[row] in ATTEMPTS]
        pairs = []
        for row in due:
            former = self._recalled(int(state.ids[row]), state.feature_sum, row, here[here != row])
            if former:
                pairs.append((int(state.ids[row]), former))
                state.hits[row] = ATTEMPTS[-1] + 1
        return tuple(pairs)

    @property
    def limit(self) -> float | None:
        """Largest distance at which an identity is given back; None below 10 pairs of different people."""
        count, total, squares = self.sums.tolist()
        if count < MIN_DIFFERENT:
            return None
        mean = total / count
        spread = math.sqrt(max(squares / count - mean**2, 0.0) * count / (count - 1))
        rate = min(self.false_join_rate / max(1, len(self.ids)), 0.5)
        return math.exp(mean + NormalDist().inv_cdf(rate) * spread)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `restore` takes."""
        return {"ids": self.ids, "means": self.means, "age": self.age, "sums": self.sums}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Continue from the arrays of another memory."""
        self.ids, self.means, self.age, self.sums = (arrays[name] for name in ("ids", "means", "age", "sums"))

    def _recalled(self, identity: int, sums_TF: NDArray[np.float32], row: int, others: NDArray[np.intp]) -> int:
        (mean_F,), (known,) = _means(sums_TF[row : row + 1])
        if not known:
            return 0
        others_NF, usable_N = _means(sums_TF.take(others, axis=0))
        different = 1.0 - (others_NF[usable_N] @ mean_F).astype(np.float64)
        logarithms = np.log(np.maximum(different, _SMALLEST))
        self.sums += (len(logarithms), logarithms.sum(), (logarithms**2).sum())
        limit = self.limit
        if not len(self.ids):
            return 0
        distances = 1.0 - (self.means @ mean_F).astype(np.float64)
        best = int(distances.argmin())
        former, distance = int(self.ids[best]), float(distances[best])
        if limit is None:
            self.recalls.append(Recall(identity, former, distance, None, None, regained=False))
            return 0
        # Two remembered tracks that are near each other may be one person, and then are no rivals.
        others = distances[1.0 - self.means @ self.means[best] > limit]
        rivals = np.concatenate((others, different))
        refused = distance > limit or bool((rivals <= _RIVAL_RATIO * distance).any())
        rival = float(rivals.min()) if len(rivals) else None
        self.recalls.append(Recall(identity, former, distance, limit, rival, regained=not refused))
        if refused:
            return 0
        self._keep(np.arange(len(self.ids)) != best)
        self.regained += 1
        return former

    def _keep(self, kept_M: NDArray[np.bool_]) -> None:
        self.ids, self.means, self.age = self.ids[kept_M], self.means[kept_M], self.age[kept_M]


def _means(sums_NF: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return unit vectors, and which of them are not zero."""
    length_N = np.linalg.norm(sums_NF, axis=1)
    known_N = length_N > 0
    unit_NF: NDArray[np.float32] = (sums_NF / np.where(known_N, length_N, 1.0)[:, None]).astype(np.float32)
    return unit_NF, known_N
