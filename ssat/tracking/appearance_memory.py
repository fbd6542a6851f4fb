"""Appearance of tracks, accumulated from their detections."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.distances import accumulated
from ssat.tracking.state import TrackState


class AppearanceMemory(Protocol):
    """Appearance of tracks, stored in the `TrackState`."""

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Update some tracks with the features of their matched detections."""

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
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
    """Another memory and, for `LongMemory`, the sum of all features."""

    def __init__(self, inner: AppearanceMemory) -> None:
        self.inner = inner

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Update the features and add them to the sums."""
        self.inner.update(state, rows, features_NF)
        if state.feature_sum is None:
            state.feature_sum = np.zeros((len(state), features_NF.shape[1]), np.float32)
        state.feature_sum[rows] += features_NF

    def start(self, features_NF: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the arrays of the other memory, and the features as sums of one."""
        return {**self.inner.start(features_NF), "feature_sum": features_NF.copy()}


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
