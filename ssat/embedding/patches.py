"""Cut-outs of detections, as the embedder wants them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def crop_patches(
    image: NDArray[np.uint8], boxes_D4: NDArray[np.float64], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Every box, clipped to the image and warped to a square (the aspect is not kept: method of the paper).

    An axis that shrinks is averaged (no aliasing), one that grows is interpolated linearly.

    Args:
        image: (H, W, 3) uint8.
        boxes_D4: x1 y1 x2 y2 in pixels of the image; may reach beyond it.
        size: side S of the patches.

    Returns:
        Patches (D, S, S, 3), and (D,) whether anything of the box was inside the image; elsewhere the patch is black.
    """
    height, width = image.shape[:2]
    corners_D4 = np.clip(np.rint(boxes_D4), 0, (width, height, width, height)).astype(np.int64)
    patches = np.zeros((len(boxes_D4), size, size, 3), np.uint8)
    filled_D: NDArray[np.bool_] = np.asarray((corners_D4[:, 2:] > corners_D4[:, :2]).all(axis=1))
    for patch, (x1, y1, x2, y2), filled in zip(patches, corners_D4.tolist(), filled_D.tolist(), strict=True):
        if filled:
            patch[:] = _warped(image[y1:y2, x1:x2], size)
    return patches, filled_D


def _warped(part: NDArray[Any], size: int) -> NDArray[Any]:
    height, width = part.shape[:2]
    # OpenCV's INTER_AREA averages only where no axis grows: shrink first, then let the other axis grow.
    if height > size or width > size:
        part = cv2.resize(part, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    if height < size or width < size:
        part = cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    return part
