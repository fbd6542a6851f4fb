"""Display matrix of a video frame: rotation and mirroring that make the decoded picture upright."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

_MATRIX = struct.Struct("=9i")  # AV_FRAME_DATA_DISPLAYMATRIX: row by row, native byte order, 16.16 fixed point


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to place a picture: first transposed (rows become columns), then mirrored.

    `flip_x` mirrors left and right, `flip_y` top and bottom, both of the picture after transposing.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Return how to bring a decoded frame upright: its display matrix to the nearest quarter turn, mirrored or not.

        Containers and streams carry the matrix; the decoder attaches either to the frame.
        """
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None or matrix.buffer_size < _MATRIX.size:
            return UPRIGHT
        return cls.of_matrix(_MATRIX.unpack_from(memoryview(matrix)))

    @classmethod
    def of_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """Return the orientation of a display matrix (a, b, u, c, d, v, x, y, w): x' = a·x + c·y, y' = b·x + d·y."""
        a, b, _, c, d, *_ = matrix
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Return `picture` (H, W) or (H, W, C) upright: (W, H) or (W, H, C) where it is transposed. May be a view."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of the upright picture."""
        return (height, width) if self.transposed else (width, height)


UPRIGHT = Orientation()


def upright_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a decoded frame as RGB uint8 (H, W, 3), upright."""
    image: NDArray[Any] = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(Orientation.of(frame).apply(image))
