"""A video frame → JPEG without a detour through RGB.

Colours: JPEG (JFIF) means full-range BT.601 YCbCr with 4:2:0 chroma. Video is mostly limited-range, and BT.709 or
BT.601. libswscale converts a matrix by going through RGB, which costs more than the JPEG; here it only scales, and
range and matrix are one affine map on planes that are already small.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
import simplejpeg
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ssat.clips.colours import Colours, scaled, stored_colours
from ssat.video.display_matrix import UPRIGHT, Orientation

Plane = NDArray[np.uint8]

# Luma weights (Kr, Kb) by AVColorSpace: ITU-T H.273, table 4. Not in the table: taken as BT.601, which is also what
# libswscale assumes of unspecified video.
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)


@dataclass(frozen=True)
class EncodedFrame:
    """A JPEG with its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def encoder_facts(quality: int, short_side: int) -> dict[str, str | int]:
    """Return the encoder as it stands in the manifest."""
    return {
        "codec": "jpeg",
        "quality": quality,
        "short_side": short_side,
        "subsampling": "4:2:0",
        "scaling": "area",
        "matrix": "bt601",
        "range": "full",
    }


def tool_versions() -> dict[str, str]:
    """Return versions of the libraries that the bytes of a JPEG depend on."""
    return {"av": av.__version__, "simplejpeg": str(simplejpeg.__version__), "opencv": cv2.__version__}


class FrameEncoder:
    """Encoder of the frames of one clip. Not thread-safe: one per clip and thread."""

    def __init__(self, short_side: int = 256, quality: int = 90) -> None:
        self.short_side = short_side
        self.quality = quality
        # The scaler is set up again whenever the geometry changes, so a clip keeps its own.
        self._reformatter = VideoReformatter()

    def encode(self, frame: VideoFrame, orientation: Orientation = UPRIGHT, pixel_aspect: float = 1.0) -> EncodedFrame:
        """Encode `frame` as JPEG, upright, with its short side at `short_side` (never enlarged).

        Args:
            frame: decoded frame of any pixel format.
            orientation: how to bring it upright.
            pixel_aspect: width / height of a pixel; the JPEG has square ones.
        """
        planes = self.planes(frame, pixel_aspect)
        y, u, v = (np.ascontiguousarray(orientation.apply(plane)) for plane in planes)
        jpeg = simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality=self.quality)
        return EncodedFrame(jpeg, y.shape[1], y.shape[0])

    def planes(self, frame: VideoFrame, pixel_aspect: float = 1.0) -> tuple[Plane, Plane, Plane]:
        """Return full-range BT.601 planes: Y (h, w), U and V (h/2, w/2), uint8, h and w even."""
        size = stored_size(frame.width, frame.height, self.short_side, pixel_aspect)
        colours = Colours.of(frame)
        kept = stored_colours(colours)
        planes = _views(scaled(self._reformatter, frame, size, colours, kept))
        return _to_jpeg_colours(planes, _LUMA_WEIGHTS.get(kept.matrix, _BT601), kept.full_range)


def stored_size(width: int, height: int, short_side: int, pixel_aspect: float = 1.0) -> tuple[int, int]:
    """Return width and height of the stored frame: square pixels, the short side at most `short_side`, both even.

    Even, because the encoder reads luma in pairs of 4:2:0 chroma: of an odd plane it would read beyond the end.
    """
    shown = width * pixel_aspect
    scale = min(1.0, short_side / min(shown, height))
    to_even = round if scale < 1 else math.floor
    return max(2, 2 * to_even(shown * scale / 2)), max(2, 2 * to_even(height * scale / 2))


def _views(frame: VideoFrame) -> tuple[Plane, Plane, Plane]:
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    return y, u, v


@functools.cache
def _chroma_matrix(weights: tuple[float, float]) -> NDArray[np.float64]:
    """Return full-range YCbCr of the matrix `weights` → full-range BT.601 YCbCr, chroma centred at 0: a 3x3 matrix."""

    def to_ycc(kr: float, kb: float) -> NDArray[np.float64]:
        kg = 1 - kr - kb
        luma = np.array([kr, kg, kb])
        return np.stack(
            [luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * kb), (np.array([1, 0, 0]) - luma) / (2 - 2 * kr)]
        )

    matrix: NDArray[np.float64] = to_ycc(*_BT601) @ np.linalg.inv(to_ycc(*weights))
    return matrix


def _to_jpeg_colours(
    planes: tuple[Plane, Plane, Plane], weights: tuple[float, float], full_range: bool
) -> tuple[Plane, Plane, Plane]:
    y, u, v = planes
    if full_range and weights == _BT601:
        return planes
    if weights == _BT601:
        return _affine(y, 255 / 219, 0), _affine(u, 255 / 224, _CHROMA_ZERO), _affine(v, 255 / 224, _CHROMA_ZERO)
    matrix = _chroma_matrix(weights)
    luma_scale, luma_zero, chroma_scale = (1.0, 0.0, 1.0) if full_range else (255 / 219, 16.0, 255 / 224)

    def mixed(from_u: float, from_v: float) -> Plane:
        offset = 128 - 128 * (from_u + from_v)
        return _weighted(u, from_u, v, from_v, offset)

    # What chroma adds to luma, at chroma's resolution and 128 for zero, then brought to luma's.
    added = mixed(matrix[0, 1] * chroma_scale, matrix[0, 2] * chroma_scale)
    wide: Any = cv2.resize(added, y.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return (
        _weighted(y, luma_scale, wide, 1.0, -128 - luma_zero * luma_scale),
        mixed(matrix[1, 1] * chroma_scale, matrix[1, 2] * chroma_scale),
        mixed(matrix[2, 1] * chroma_scale, matrix[2, 2] * chroma_scale),
    )


# Zero chroma, 128, is 112 above the least legal value of limited range and stays where it is.
_CHROMA_ZERO = 128 - 112 * 255 / 224


def _affine(plane: Plane, scale: float, offset: float) -> Plane:
    """(plane − 16) · scale + offset, saturated: below black is black."""
    cv: Any = cv2  # its annotations lack scalars
    shifted: Plane = cv.convertScaleAbs(cv.subtract(plane, 16.0), alpha=scale, beta=offset)
    return shifted


def _weighted(first: Plane, by: float, second: Plane, by_second: float, offset: float) -> Plane:
    """first · by + second · by_second + offset, rounded and saturated."""
    result: Any = cv2.addWeighted(first, by, second, by_second, offset)
    weighted: Plane = result
    return weighted
