"""Cut-outs of detections, as the embedder expects them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def crop_patches(
    image: NDArray[np.uint8], boxes_D4: NDArray[np.float64], size: int | tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut out every box, clipped to the image and warped to one size (the aspect is not kept: method of the paper).

    An axis that shrinks is averaged (no aliasing), one that grows is interpolated linearly.

    Args:
        image: (H, W, 3) uint8.
        boxes_D4: x1 y1 x2 y2 in pixels of the image; may reach beyond it.
        size: side of square patches, or their (height, width) H, W, pixels.

    Returns:
        Patches (D, H, W, 3), and (D,) whether anything of the box was inside the image; elsewhere the patch is black.
    """
    shape = size if isinstance(size, tuple) else (size, size)
    height, width = image.shape[:2]
    corners_D4 = np.clip(np.rint(boxes_D4), 0, (width, height, width, height)).astype(np.int64)
    patches = np.zeros((len(boxes_D4), *shape, 3), np.uint8)
    filled_D: NDArray[np.bool_] = np.asarray((corners_D4[:, 2:] > corners_D4[:, :2]).all(axis=1))
    for patch, (x1, y1, x2, y2), filled in zip(patches, corners_D4.tolist(), filled_D.tolist(), strict=True):
        if filled:
            patch[:] = _warped(image[y1:y2, x1:x2], *shape)
    return patches, filled_D


def _warped(part: NDArray[Any], to_height: int, to_width: int) -> NDArray[Any]:
    height, width = part.shape[:2]
    # OpenCV's INTER_AREA averages only where no axis grows: shrink first, then let the other axis grow.
    if height > to_height or width > to_width:
        part = cv2.resize(part, (min(width, to_width), min(height, to_height)), interpolation=cv2.INTER_AREA)
    if height < to_height or width < to_width:
        part = cv2.resize(part, (to_width, to_height), interpolation=cv2.INTER_LINEAR)
    return part
