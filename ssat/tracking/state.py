"""The two sides of an association: the tracks that are alive, and the detections of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class TrackState:
    """The tracks that are alive, one row per track in the order of their ids.

    Optional arrays are None if no part of the tracker keeps them.

    Attributes:
        ids: (T,) identities.
        boxes: (T, 4) x1 y1 x2 y2 in pixels: the last box, or the predicted one with a motion model.
        time_since_update: (T,) frames since the last match; 0: tracked, more: lost.
        features: (T, F) L2-normalised appearance; a zero row is a missing appearance.
        position, velocity: (T, 4) centre x, centre y, width, height and their change per frame.
        covariance: (T, 4, 3) variance of position, covariance, variance of velocity, of each coordinate.
        hits: (T,) frames in which the track was matched, its first one included.
        age: (T,) frames since the first match.
        gallery: (T, K, F) past features, L2-normalised.
        feature_sum: (T, F) sum of all features of the track.
        feature_count: (T,) how many features these are.
        missing_appearance: some row of `features` may be zero.
    """

    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    time_since_update: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    features: NDArray[np.float32] | None = None
    position: NDArray[np.float64] | None = None
    velocity: NDArray[np.float64] | None = None
    covariance: NDArray[np.float64] | None = None
    hits: NDArray[np.int64] | None = None
    age: NDArray[np.int64] | None = None
    gallery: NDArray[np.float32] | None = None
    feature_sum: NDArray[np.float32] | None = None
    feature_count: NDArray[np.int64] | None = None
    missing_appearance: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the names of all arrays."""
        return _FIELDS

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that are present, by name."""
        named = ((name, getattr(self, name)) for name in _FIELDS)
        return {name: array for name, array in named if array is not None}

    def set(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set arrays by name."""
        for name, array in arrays.items():
            setattr(self, name, array)

    def pass_time(self, frames: int) -> None:
        """Count frames in which no track is matched, until one is."""
        self.time_since_update += frames
        if self.age is not None:
            self.age += frames

    def keep(self, kept_T: NDArray[np.bool_]) -> None:
        """Forget the other tracks."""
        for name, array in self.arrays().items():
            setattr(self, name, array[kept_T])

    def reorder(self, rows: NDArray[np.intp]) -> None:
        """Put the tracks into another order."""
        for name, array in self.arrays().items():
            setattr(self, name, array[rows])

    def append(self, new: TrackState) -> None:
        """Add tracks. An array that only one side has is zero on the other."""
        n_old, n_new = len(self), len(new)
        one_sided = (self.features is None and n_old > 0) != (new.features is None and n_new > 0)
        self.missing_appearance |= new.missing_appearance or one_sided
        for name in _FIELDS:
            old_array, new_array = getattr(self, name), getattr(new, name)
            if old_array is None and new_array is None:
                continue
            if old_array is None:
                old_array = np.zeros((n_old, *new_array.shape[1:]), new_array.dtype)
            elif new_array is None:
                new_array = np.zeros((n_new, *old_array.shape[1:]), old_array.dtype)
            setattr(self, name, np.concatenate((old_array, new_array)))

    def copy(self) -> Self:
        """Return a state that does not change with this one."""
        copied: dict[str, Any] = {name: array.copy() for name, array in self.arrays().items()}
        return replace(self, **copied)


_FIELDS = tuple(field.name for field in fields(TrackState) if field.name != "missing_appearance")


@dataclass(slots=True)
class FrameDetections:
    """The detections of one frame as the tracker sees them.

    Attributes:
        boxes: (D, 4) x1 y1 x2 y2 in pixels.
        features: (D, F) L2-normalised; a zero row is a missing appearance; None: no features in this frame.
        missing_appearance: some row of `features` is zero.
        scores: (D,) or None.
        weak: (D,) scores below `config.low_score`; None: all detections are equal.
    """

    boxes: NDArray[np.float64]
    features: NDArray[np.float32] | None = None
    missing_appearance: bool = False
    scores: NDArray[np.float64] | None = None
    weak: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.boxes)
