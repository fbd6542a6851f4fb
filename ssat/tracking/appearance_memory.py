"""Appearance of tracks, accumulated from their detections."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.distances import accumulated
from ssat.tracking.state import TrackState
from ssat.tracking.whitening import WithinTracks


class AppearanceMemory(Protocol):
    """Appearance of tracks, stored in the `TrackState`."""

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Update some tracks with the features of their matched detections."""

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the arrays of new tracks, by the names of `TrackState`."""
        ...


class Accumulated:
    """One feature per track: beta of the new one plus 1 − beta of the old one (equation 3).

    Args:
        beta: 1: the newest feature replaces the old one.
    """

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Accumulate."""
        if state.features is None:
            state.features = np.zeros((len(state), features_NF.shape[1]), np.float32)
            state.missing_appearance = True
        state.features[rows] = accumulated(state.features.take(rows, axis=0), features_NF, self.beta)

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the features themselves."""
        return {"features": features_NF}


class Summed:
    """Another memory and, for `LongMemory`, the sum of all features.

    Args:
        inner: the other memory.
        within: receives the deviation of every `STRIDE`th feature of a track from the track's mean.
    """

    STRIDE = 4  # neighbouring frames hardly differ

    def __init__(self, inner: AppearanceMemory, within: WithinTracks) -> None:
        self.inner = inner
        self.within = within

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Update the features and add them to the sums."""
        self.inner.update(state, rows, features_NF)
        if state.feature_sum is None:
            state.feature_sum = np.zeros((len(state), features_NF.shape[1]), np.float32)
        counts_T = state.feature_count
        if counts_T is None:
            # Hits: of a state that was saved before features were counted.
            hits_T = np.ones(len(state), np.int64) if state.hits is None else state.hits
            counts_T = np.where(state.feature_sum.any(axis=1), hits_T, 0)
            state.feature_count = counts_T
        known_N = features_NF.any(axis=1)
        count_N = counts_T[rows]
        due_N = known_N & (count_N > 0) & (count_N % self.STRIDE == 0)
        if np.logical_or.reduce(due_N):
            count_N1 = count_N[due_N, None].astype(np.float32)
            deviations = features_NF[due_N] - state.feature_sum[rows[due_N]] / count_N1
            self.within.add(deviations * np.sqrt(count_N1 / (count_N1 + 1)))  # unbiased variance
        state.feature_sum[rows] += features_NF
        counts_T[rows] += known_N

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the arrays of the other memory, and the features as sums of one."""
        counts = np.asarray(features_NF.any(axis=1), np.int64)
        return {**self.inner.start(features_NF), "feature_sum": features_NF.copy(), "feature_count": counts}


class Gallery(Accumulated):
    """The accumulated feature and a few past ones, so that a track also knows earlier views.

    A slot takes the newest feature until the next slot's turn, every `STRIDE` hits; the oldest one is replaced.

    Args:
        size: number of past features.
    """

    STRIDE = 5

    def __init__(self, beta: float, size: int) -> None:
        super().__init__(beta)
        self.size = size

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Accumulate, and store the features in the current slots."""
        super().update(state, rows, features_NF)
        known_N = features_NF.any(axis=1)
        if not np.logical_and.reduce(known_N):
            rows, features_NF = rows[known_N], features_NF[known_N]
        if state.gallery is None:
            state.gallery = np.zeros((len(state), self.size, features_NF.shape[1]), np.float32)
        if state.hits is not None:
            state.gallery[rows, (state.hits[rows] // self.STRIDE) % self.size] = features_NF

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the features, and galleries with the feature in the first slot."""
        gallery = np.zeros((len(features_NF), self.size, features_NF.shape[1]), np.float32)
        gallery[:, 0] = features_NF
        return {"features": features_NF, "gallery": gallery}
