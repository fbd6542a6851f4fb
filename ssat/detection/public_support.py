"""Support of detections by public detections: which may start a track (method of CenterTrack, arXiv 2004.01177)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import areas, middles


def publicly_supported(
    public_P4: NDArray[np.float64], boxes_U4: NDArray[np.float64], centres_U2: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which unmatched detections are near a public detection.

    Each public box, in the order of its file, supports the nearest unsupported detection if the squared distance of
    the centres is smaller than the area of the detection.

    Args:
        public_P4: public boxes of the frame, x1 y1 x2 y2.
        boxes_U4, centres_U2: of the unmatched detections.

    Returns:
        (U,) whether each is supported.
    """
    supported_U = np.zeros(len(boxes_U4), bool)
    if not len(boxes_U4):
        return supported_U
    area_U = areas(boxes_U4)
    moved_PU2 = middles(public_P4)[:, None] - centres_U2
    distance_PU = np.einsum("puk,puk->pu", moved_PU2, moved_PU2)
    for distance_U in distance_PU:
        left = np.where(supported_U, np.inf, distance_U)
        nearest = int(left.argmin())
        if left[nearest] < area_U[nearest]:
            supported_U[nearest] = True
    return supported_U
