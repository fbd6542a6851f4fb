"""Check the input of a tracker: boxes, scores, features, camera motion, images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssat.errors import InputError


def as_array(values: ArrayLike | None, what: str) -> NDArray[Any]:
    """Return `values` as a NumPy array of numbers.

    Accepts arrays, lists and torch tensors on any device, with gradients or in bfloat16, and lists of those.

    Args:
        what: named by the error.

    Raises:
        InputError: not a rectangular array of real numbers.
    """
    if type(values) is np.ndarray and values.dtype.kind == "f":
        return values
    values = _without_tensors(values)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be converted to an array ({error}); expected numbers in equal rows") from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} have dtype {array.dtype} and shape {array.shape}; expected real numbers")
    return array


def checked_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return boxes (D, 4) as a copy, so that the tracker's answer does not change with the caller's array.

    Raises:
        InputError: another shape, values that are not finite, or boxes of negative size.
    """
    given = as_array(boxes, "boxes")
    if not given.size:
        return np.empty((0, 4), np.float64)
    if given.ndim != 2 or given.shape[1] != 4:
        raise InputError(
            f"boxes have shape {given.shape} and dtype {given.dtype}; expected (D, 4): x1 y1 x2 y2 in pixels"
        )
    boxes_D4 = np.array(given, np.float64)
    # A value that is not finite makes the sum so, and comparisons with NaN are false: two quick tests find any fault.
    ordered = np.logical_and.reduce(boxes_D4[:, 2:] >= boxes_D4[:, :2], axis=None)
    if not (ordered and math.isfinite(np.add.reduce(boxes_D4, axis=None))):
        wrong_D = ~((boxes_D4[:, 2:] >= boxes_D4[:, :2]).all(1) & np.isfinite(boxes_D4).all(1))
        if wrong_D.any():  # else: finite values with an infinite sum
            first = int(wrong_D.argmax())
            raise InputError(
                f"box of detection {first} is {boxes_D4[first].tolist()}; expected finite x1 ≤ x2, y1 ≤ y2"
            )
    return boxes_D4


def checked_scores(scores: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return scores (D,) as a copy.

    Raises:
        InputError: not one finite score per detection.
    """
    given = as_array(scores, "scores")
    if given.shape != (n,) and (n or given.size):
        raise InputError(f"scores have shape {given.shape} and dtype {given.dtype}; expected ({n},), one per detection")
    scores_D = np.array(given, np.float64).reshape(n)
    if not np.isfinite(scores_D).all():
        raise InputError(f"the score of detection {int((~np.isfinite(scores_D)).argmax())} is not finite")
    return scores_D


def normalised_features(features: ArrayLike, n: int, width: int | None) -> tuple[NDArray[np.float32], bool]:
    """Return L2-normalised features (D, F), and whether some row is zero (missing appearance).

    Args:
        n: number of detections, at least 1.
        width: F of earlier frames, where there were any.

    Raises:
        InputError: another shape or width, or values that are not finite.
    """
    features_DF = np.asarray(as_array(features, "features"), np.float32)
    if features_DF.ndim != 2 or len(features_DF) != n:
        raise InputError(
            f"features have shape {features_DF.shape} and dtype {features_DF.dtype}; expected ({n}, F), a row per "
            "detection"
        )
    if width is not None and features_DF.shape[1] != width:
        raise InputError(f"features have width {features_DF.shape[1]}, earlier frames had {width}")
    length_D = np.sqrt(np.vecdot(features_DF, features_DF))
    if not math.isfinite(np.add.reduce(length_D)):
        wrong_D = ~np.isfinite(length_D)
        if wrong_D.any():
            raise InputError(f"the feature of detection {int(wrong_D.argmax())} is not finite")
    missing_appearance = not np.logical_and.reduce(length_D)
    if missing_appearance:
        length_D[length_D == 0] = 1.0
    return features_DF / length_D[:, None], missing_appearance


def checked_camera(camera: ArrayLike) -> NDArray[np.float64]:
    """Return an affine map (2, 3).

    Raises:
        InputError: another shape or values that are not finite.
    """
    affine_23 = np.asarray(as_array(camera, "camera motion"), np.float64)
    if affine_23.shape != (2, 3) or not np.isfinite(affine_23).all():
        raise InputError(f"camera motion has shape {affine_23.shape}; expected a finite (2, 3) affine map")
    return affine_23


def checked_image(image: ArrayLike) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) uint8.

    Raises:
        InputError: another shape or dtype, or no pixels.
    """
    array = as_array(image, "image")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise InputError(
            f"image has shape {array.shape} and dtype {array.dtype}; expected (H, W, 3) uint8 RGB. Convert grey, RGBA "
            "and float images first"
        )
    return array


def _without_tensors(values: Any) -> Any:
    """Return torch tensors, and lists of them, as NumPy arrays; everything else as it is. Does not import torch."""
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        # NumPy has no bfloat16; float64 tensors and integers keep their precision.
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if isinstance(values, list | tuple) and values and hasattr(values[0], "detach"):
        return [_without_tensors(value) for value in values]
    return values
