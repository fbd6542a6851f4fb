"""A motion model for the box distance: constant velocity, a Kalman filter per coordinate, all tracks at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Standard deviations as shares of the box's height, as in SORT's successors (arXiv 1703.07402).
_PLACE, _SPEED = 1 / 20, 1 / 160
_SMALLEST = 1.0  # pixels: a box without height still moves

Array = NDArray[np.float64]


class Motion:
    """Centre, width and height of every track, their speeds per frame, and how sure both are.

    The coordinates are independent of each other, so each has a 2x2 covariance of place and speed, kept as three
    numbers. Rows are those of the tracker.

    Attributes:
        place, speed: (T, 4) x y w h of the centre form, pixels and pixels per frame.
        covariance: (T, 4, 3) variance of place, covariance, variance of speed.
    """

    def __init__(self) -> None:
        self.place: Array = np.empty((0, 4))
        self.speed: Array = np.empty((0, 4))
        self.covariance: Array = np.empty((0, 4, 3))

    def predict(self) -> Array:
        """Moves every track on by a frame and gives its box (T, 4), x1 y1 x2 y2."""
        self.place += self.speed
        # Width and height are never predicted below a pixel.
        np.maximum(self.place[:, 2:], _SMALLEST, out=self.place[:, 2:])
        height_T1 = self.place[:, 3:]
        variance, cross, speed_variance = np.moveaxis(self.covariance, 2, 0)
        variance += 2 * cross + speed_variance + (_PLACE * height_T1) ** 2
        cross += speed_variance
        speed_variance += (_SPEED * height_T1) ** 2
        return _corners(self.place)

    def correct(self, rows: NDArray[np.intp], boxes_N4: Array) -> None:
        """What was seen of some tracks."""
        seen = _centred(boxes_N4)
        variance, cross, speed_variance = np.moveaxis(self.covariance[rows], 2, 0)
        total = variance + (_PLACE * np.maximum(seen[:, 3:], _SMALLEST)) ** 2
        gain, speed_gain = variance / total, cross / total
        missed = seen - self.place[rows]
        self.place[rows] += gain * missed
        self.speed[rows] += speed_gain * missed
        self.covariance[rows] = np.stack(
            ((1 - gain) * variance, (1 - gain) * cross, speed_variance - speed_gain * cross), axis=2
        )

    def add(self, boxes_N4: Array) -> None:
        """New tracks, which stand still as far as is known."""
        centred = _centred(boxes_N4)
        height = np.maximum(centred[:, 3:], _SMALLEST) * np.ones(4)
        spread = np.stack(((2 * _PLACE * height) ** 2, np.zeros_like(height), (10 * _SPEED * height) ** 2), axis=2)
        self.place = np.concatenate((self.place, centred))
        self.speed = np.concatenate((self.speed, np.zeros_like(centred)))
        self.covariance = np.concatenate((self.covariance, spread))

    def keep(self, alive_T: NDArray[np.bool_]) -> None:
        """Forgets the other tracks."""
        self.place, self.speed, self.covariance = self.place[alive_T], self.speed[alive_T], self.covariance[alive_T]

    def move(self, affine_23: Array) -> None:
        """The camera moved: points of the frame before are where `affine_23` takes them."""
        scale = _scale(affine_23)
        self.place[:, :2] = self.place[:, :2] @ affine_23[:, :2].T + affine_23[:, 2]
        self.speed[:, :2] = self.speed[:, :2] @ affine_23[:, :2].T
        self.place[:, 2:] *= scale
        self.speed[:, 2:] *= scale
        self.covariance *= scale**2


def moved_boxes(boxes_N4: Array, affine_23: Array) -> Array:
    """Boxes whose centres are taken along by an affine map, and whose sides by its scale."""
    centred = _centred(boxes_N4)
    centred[:, :2] = centred[:, :2] @ affine_23[:, :2].T + affine_23[:, 2]
    centred[:, 2:] *= _scale(affine_23)
    return _corners(centred)


def _scale(affine_23: Array) -> float:
    return float(np.sqrt(abs(np.linalg.det(affine_23[:, :2]))))


def _centred(boxes_N4: Array) -> Array:
    return np.concatenate(((boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2, boxes_N4[:, 2:] - boxes_N4[:, :2]), axis=1)


def _corners(centred_N4: Array) -> Array:
    half = centred_N4[:, 2:] / 2
    return np.concatenate((centred_N4[:, :2] - half, centred_N4[:, :2] + half), axis=1)
