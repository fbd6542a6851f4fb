"""What a track remembers of the appearance of its detections."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.distances import accumulated
from ssat.tracking.state import TrackState


class AppearanceMemory(Protocol):
    """Keeps the appearance of tracks in the `TrackState`."""

    def update(self, state: TrackState, rows: NDArray[np.intp], features_NF: NDArray[np.float32]) -> None:
        """Take in the features that some tracks were matched with."""

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
