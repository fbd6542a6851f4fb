"""Predict tracks in the next frame: at their last box, or at constant velocity (a Kalman filter)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.state import TrackState

# Standard deviations as shares of the box height, as in DeepSORT (arXiv 1703.07402).
_POSITION_SHARE, _VELOCITY_SHARE = 1 / 20, 1 / 160
_USUAL_RATE = 25.0  # frames per second
_MIN_SIDE = 1.0  # pixels: noise of a box without height

Array = NDArray[np.float64]


class Motion(Protocol):
    """A motion model. It keeps its arrays in the `TrackState`."""

    def predict(self, state: TrackState, camera_23: Array | None) -> None:
        """Move `state.boxes` to where they are expected in the next frame; `camera_23` as in `Tracker.update`."""

    def update(self, state: TrackState, rows: NDArray[np.intp], boxes_N4: Array) -> None:
        """Update some tracks with their matched boxes."""

    def start(self, boxes_N4: Array) -> dict[str, Array]:
        """Return the arrays of new tracks, by the names of `TrackState`."""
        ...


class LastBox:
    """No motion model: a track is expected where it was last seen, moved with the camera."""

    def predict(self, state: TrackState, camera_23: Array | None) -> None:
        """Move the boxes with the camera."""
        if camera_23 is not None:
            state.boxes = moved_boxes(state.boxes, camera_23)

    def update(self, state: TrackState, rows: NDArray[np.intp], boxes_N4: Array) -> None:
        """Do nothing: the tracker itself stores the last box."""

    def start(self, boxes_N4: Array) -> dict[str, Array]:
        """Return no arrays."""
        return {}


class ConstantVelocity:
    """A Kalman filter per track: centre, width, height and their velocities, all tracks at once.

    The four coordinates are independent, so each has a 2x2 covariance of position and velocity, stored as three
    numbers.

    Args:
        hold_size: lost tracks keep the size of their box, as in ByteTrack. The box of a person who is being covered
            shrinks, the person does not.
        frame_rate: frames per second. The shares of DeepSORT are steps of videos with 25 frames a second or more; where
            frames lie further apart, people go further and turn more from one to the next.
    """

    def __init__(self, hold_size: bool = False, frame_rate: float = _USUAL_RATE) -> None:
        self.hold_size = hold_size
        # The steps of usual length between two frames. A velocity per frame grows with them, and so do its changes.
        steps = max(1.0, _USUAL_RATE / frame_rate)
        self._first_velocity = (10 * _VELOCITY_SHARE * steps) ** 2
        self._position_noise = _POSITION_SHARE**2 * steps
        self._velocity_noise = (_VELOCITY_SHARE * steps) ** 2

    def predict(self, state: TrackState, camera_23: Array | None) -> None:
        """Move every track on by one frame, after moving it with the camera."""
        position, velocity, covariance = _arrays(state)
        if camera_23 is not None:
            _move(position, velocity, covariance, camera_23)
        if self.hold_size:
            velocity[state.time_since_update > 0, 2:] = 0.0
        position += velocity
        # Width and height are never predicted below one pixel.
        np.maximum(position[:, 2:], _MIN_SIDE, out=position[:, 2:])
        squared_height_T1 = position[:, 3:] ** 2
        variance, cross, velocity_variance = covariance[:, :, 0], covariance[:, :, 1], covariance[:, :, 2]
        variance += 2 * cross + velocity_variance + self._position_noise * squared_height_T1
        cross += velocity_variance
        velocity_variance += self._velocity_noise * squared_height_T1
        state.boxes = _corners(position)

    def update(self, state: TrackState, rows: NDArray[np.intp], boxes_N4: Array) -> None:
        """Correct the filter of some tracks by the boxes that they were matched with."""
        position, velocity, covariance = _arrays(state)
        measured = centre_form(boxes_N4)
        matched = covariance.take(rows, axis=0)
        variance, cross, velocity_variance = matched[:, :, 0], matched[:, :, 1], matched[:, :, 2]
        total = variance + _measurement_variance(measured)
        gain, velocity_gain = variance / total, cross / total
        innovation = measured - position.take(rows, axis=0)
        position[rows] += gain * innovation
        velocity[rows] += velocity_gain * innovation
        kept = 1 - gain
        velocity_variance -= velocity_gain * cross
        variance *= kept
        cross *= kept
        covariance[rows] = matched

    def start(self, boxes_N4: Array) -> dict[str, Array]:
        """Return the filters of new tracks: standing still, with a wide velocity."""
        centred = centre_form(boxes_N4)
        height = np.maximum(centred[:, 3:], _MIN_SIDE) * np.ones(4)
        spread = ((2 * _POSITION_SHARE * height) ** 2, np.zeros_like(height), self._first_velocity * height**2)
        return {"position": centred, "velocity": np.zeros_like(centred), "covariance": np.stack(spread, axis=2)}


def mahalanobis(state: TrackState, boxes_D4: Array) -> Array:
    """Return the squared Mahalanobis distance (T, D) of boxes to the predicted positions; 4 degrees of freedom."""
    position, _, covariance = _arrays(state)
    variance_T4 = covariance[:, :, 0] + _measurement_variance(position)
    innovation_TD4 = centre_form(boxes_D4)[None] - position[:, None]
    innovation_TD4 *= innovation_TD4
    squared_TD: Array = np.matmul(innovation_TD4, (1.0 / variance_T4)[:, :, None])[:, :, 0]
    return squared_TD


def moved_boxes(boxes_N4: Array, affine_23: Array) -> Array:
    """Return the boxes moved by an affine map: centres by the map, sides by its scale."""
    centred = centre_form(boxes_N4)
    centred[:, :2] = centred[:, :2] @ affine_23[:, :2].T + affine_23[:, 2]
    centred[:, 2:] *= _scale(affine_23)
    return _corners(centred)


def centre_form(boxes_N4: Array) -> Array:
    """Return boxes x1 y1 x2 y2 as centre x, centre y, width, height."""
    return np.concatenate(((boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2, boxes_N4[:, 2:] - boxes_N4[:, :2]), axis=1)


def _arrays(state: TrackState) -> tuple[Array, Array, Array]:
    if state.position is None or state.velocity is None or state.covariance is None:
        state.position, state.velocity, state.covariance = np.empty((0, 4)), np.empty((0, 4)), np.empty((0, 4, 3))
    return state.position, state.velocity, state.covariance


def _move(position: Array, velocity: Array, covariance: Array, affine_23: Array) -> None:
    scale = _scale(affine_23)
    position[:, :2] = position[:, :2] @ affine_23[:, :2].T + affine_23[:, 2]
    velocity[:, :2] = velocity[:, :2] @ affine_23[:, :2].T
    position[:, 2:] *= scale
    velocity[:, 2:] *= scale
    covariance *= scale**2


def _measurement_variance(centred_N4: Array) -> Array:
    variance: Array = (_POSITION_SHARE * np.maximum(centred_N4[:, 3:], _MIN_SIDE)) ** 2
    return variance


def _scale(affine_23: Array) -> float:
    return float(np.sqrt(abs(np.linalg.det(affine_23[:, :2]))))


def _corners(centred_N4: Array) -> Array:
    half = centred_N4[:, 2:] / 2
    return np.concatenate((centred_N4[:, :2] - half, centred_N4[:, :2] + half), axis=1)
