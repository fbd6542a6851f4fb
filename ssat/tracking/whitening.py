"""Whitening of features by how they vary within tracks (within-class covariance normalisation, Hatch et al., 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHRINKAGE = 0.1  # share of a multiple of the identity in the covariance
_RENEWED = 1.2  # the transform is recomputed when `count` has grown by this factor
_BUFFERED = 64  # deviations that are added at once
_SMALLEST = 1e-9  # variance of a feature that never changes


class WithinTracks:
    """The covariance of features within tracks, and the transform that makes it the identity.

    Light, pose and view change along a track, the person does not: directions in which tracks vary distinguish people
    poorly and count less after the transform.

    Attributes:
        scatter: (F, F) sum of the outer products of the deviations.
        count: number of deviations.
        transform: (F, F), applied from the right; None: no deviation was seen.
        renewed_at: `count` when the transform was computed.
    """

    def __init__(self) -> None:
        self.scatter: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.count = 0
        self.transform: NDArray[np.float32] | None = None
        self.renewed_at = 0
        self._buffer: list[NDArray[np.float32]] = []

    def add(self, deviations_NF: NDArray[np.float32]) -> None:
        """Add deviations (N, F) of features from the mean of their track."""
        self._buffer.append(deviations_NF)
        if sum(map(len, self._buffer)) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Add the buffered deviations to the scatter."""
        if not self._buffer:
            return
        deviations_NF = np.concatenate(self._buffer)
        self._buffer = []
        product = deviations_NF.T @ deviations_NF
        self.scatter = self.scatter + product if len(self.scatter) else product
        self.count += len(deviations_NF)

    def renew(self) -> bool:
        """Recompute the transform if there are a fifth more deviations. Returns whether it changed."""
        self.flush()
        if self.count == 0 or (self.transform is not None and self.count < _RENEWED * self.renewed_at):
            return False
        covariance = self.scatter.astype(np.float64) / self.count
        width = len(covariance)
        level = max(float(np.trace(covariance)) / width, _SMALLEST)
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * level * np.eye(width)
        self.transform = np.linalg.inv(np.linalg.cholesky(shrunk)).T.astype(np.float32)
        self.renewed_at = self.count
        return True

    def __call__(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the transformed features (N, F); unchanged if there is no transform yet."""
        if self.transform is None:
            return features_NF
        white_NF: NDArray[np.float32] = features_NF @ self.transform
        return white_NF
