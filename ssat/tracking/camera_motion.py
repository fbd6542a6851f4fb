"""Estimate the motion of the camera between two frames from points of the background."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH = 480  # frames are compared at this width: sharp enough for a shift of a pixel, quick enough for video
_MAX_POINTS = 300
_MIN_POINTS = 12  # points that must agree; with fewer the camera counts as still


class CameraMotion:
    """Camera motion between consecutive frames: corners, sparse optical flow, a similarity by RANSAC.

    Corners inside boxes are left out: people are not the background.
    """

    def __init__(self) -> None:
        self._grey: NDArray[np.uint8] | None = None
        self._boxes: NDArray[np.float64] = np.empty((0, 4))

    def estimate(self, image: NDArray[np.uint8], boxes_D4: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the affine map (2, 3) from points of the frame before to points of this one, in pixels of the frame.

        Args:
            image: (H, W, 3) RGB.
            boxes_D4: what stands before the background in it.
        """
        scale = min(1.0, _WIDTH / image.shape[1])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
        before, boxes = self._grey, self._boxes
        self._grey, self._boxes = grey, boxes_D4 * scale
        still = np.eye(2, 3)
        if before is None or before.shape != grey.shape:
            return still
        background = np.full(before.shape, 255, np.uint8)
        for x1, y1, x2, y2 in np.clip(np.rint(boxes), -1, 32000).astype(int).tolist():
            background[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = 0
        corners = cv2.goodFeaturesToTrack(before, _MAX_POINTS, 0.01, 5, mask=background)
        if corners is None or len(corners) < _MIN_POINTS:
            return still
        moved, found, _ = cv2.calcOpticalFlowPyrLK(before, grey, corners, None)  # type: ignore[call-overload]
        kept = found[:, 0] == 1
        if kept.sum() < _MIN_POINTS:
            return still
        affine, agreeing = cv2.estimateAffinePartial2D(corners[kept], moved[kept], ransacReprojThreshold=1.5)
        if affine is None or agreeing.sum() < _MIN_POINTS:
            return still
        answer = np.asarray(affine, np.float64)
        answer[:, 2] /= scale
        return answer
