"""Distances between tracks and detections, as matrices (T, D)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST_PERIMETER = 1.0  # pixels: a box without extent must not divide by zero


def box_distance(tracks_T4: NDArray[np.float64], boxes_D4: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Equation 1: the Euclidean distance of the four coordinates over alpha times the track's perimeter.

    Args:
        tracks_T4: boxes x1 y1 x2 y2 of the tracks, pixels.
        boxes_D4: boxes of the detections in the same coordinates.
    """
    from scipy.spatial.distance import cdist  # here, because its import takes longer than all of this package's

    size_T2 = tracks_T4[:, 2:] - tracks_T4[:, :2]
    perimeter_T = np.maximum(2.0 * (size_T2[:, 0] + size_T2[:, 1]), _SMALLEST_PERIMETER)
    distance_TD: NDArray[np.float64] = cdist(tracks_T4, boxes_D4)
    distance_TD /= (alpha * perimeter_T)[:, None]
    return distance_TD


def box_overlap(tracks_T4: NDArray[np.float64], boxes_D4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union (T, D) of boxes x1 y1 x2 y2; 0 if both have no area."""
    left_T, top_T, right_T, bottom_T = tracks_T4.T[:, :, None]
    left_D, top_D, right_D, bottom_D = boxes_D4.T
    width_TD = np.minimum(right_T, right_D) - np.maximum(left_T, left_D)
    common_TD: NDArray[np.float64] = np.minimum(bottom_T, bottom_D) - np.maximum(top_T, top_D)
    np.maximum(width_TD, 0.0, out=width_TD)
    np.maximum(common_TD, 0.0, out=common_TD)
    common_TD *= width_TD
    area_T, area_D = (right_T - left_T) * (bottom_T - top_T), (right_D - left_D) * (bottom_D - top_D)
    union_TD = area_T + area_D
    union_TD -= common_TD
    common_TD /= np.maximum(union_TD, 1e-12, out=union_TD)
    return common_TD


def cosine_distance(tracks_TF: NDArray[np.float32], features_DF: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 − cos of L2-normalised features, from 0 (same) to 2 (opposite); not clipped."""
    distance_TD: NDArray[np.float64] = (tracks_TF @ features_DF.T).astype(np.float64)
    np.subtract(1.0, distance_TD, out=distance_TD)
    return distance_TD


def accumulated(old_NF: NDArray[np.float32], new_NF: NDArray[np.float32], beta: float) -> NDArray[np.float32]:
    """Equation 3: beta times the new feature plus (1 − beta) times the old one, L2-normalised.

    A zero row is an appearance that is not known: the other one stands. Opposite features that cancel out keep the
    old one.
    """
    mixed_NF = (1.0 - beta) * old_NF
    mixed_NF += beta * new_NF
    length_N = np.sqrt(np.vecdot(mixed_NF, mixed_NF))
    if not np.logical_and.reduce(length_N):
        nothing = length_N == 0
        mixed_NF[nothing] = old_NF[nothing]
        length_N[nothing] = 1.0
    mixed_NF /= length_N[:, None]
    return mixed_NF
