"""What a tracker is given, checked."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.errors import InputError


def checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Boxes (D, 4) as an array of the tracker's own. Raises InputError where they are none."""
    boxes_D4 = np.array(boxes, np.float64)  # a copy: the tracker's answer must not change with the caller's array
    if not boxes_D4.size:
        return np.empty((0, 4), np.float64)
    if boxes_D4.ndim != 2 or boxes_D4.shape[1] != 4:
        raise InputError(f"boxes have shape {boxes_D4.shape}; expected (D, 4): x1 y1 x2 y2 in pixels")
    # What is not finite makes the sum so, and a comparison with NaN is false: two quick tests that no fault passes.
    sound = math.isfinite(boxes_D4.sum()) and (boxes_D4[:, 2:] >= boxes_D4[:, :2]).all()
    if not sound:
        bad = ~((boxes_D4[:, 2:] >= boxes_D4[:, :2]).all(1) & np.isfinite(boxes_D4).all(1))
        if not bad.any():  # finite values whose sum is not
            return boxes_D4
        first = int(bad.argmax())
        raise InputError(f"box of detection {first} is {boxes_D4[first].tolist()}; expected finite x1 ≤ x2, y1 ≤ y2")
    return boxes_D4


def checked_scores(scores: ArrayLike, n: int) -> NDArray[np.float64]:
    """Scores (D,) as an array of the tracker's own. Raises InputError where they do not fit."""
    scores_D = np.array(scores, np.float64)
    if scores_D.shape != (n,):
        raise InputError(f"scores have shape {scores_D.shape}; expected ({n},), one per detection")
    if not np.isfinite(scores_D).all():
        raise InputError(f"the score of detection {int((~np.isfinite(scores_D)).argmax())} is not finite")
    return scores_D


def normalised_features(features: ArrayLike, n: int, width: int | None) -> tuple[NDArray[np.float32], bool]:
    """L2-normalised features (D, F), and whether some are zero.

    Args:
        n: number of detections.
        width: F of earlier frames, where there were any.

    Raises:
        InputError: another shape or width, or values that are not finite.
    """
    features_DF = np.asarray(features, np.float32)
    if features_DF.ndim != 2 or len(features_DF) != n:
        raise InputError(f"features have shape {features_DF.shape}; expected ({n}, F), a row per detection")
    if width is not None and features_DF.shape[1] != width:
        raise InputError(f"features have width {features_DF.shape[1]}, earlier frames had {width}")
    length_D = np.sqrt(np.vecdot(features_DF, features_DF))
    if not np.isfinite(length_D).all():
        raise InputError(f"the feature of detection {int((~np.isfinite(length_D)).argmax())} is not finite")
    faceless = not length_D.all()
    if faceless:
        length_D[length_D == 0] = 1.0
    return features_DF / length_D[:, None], faceless
