"""Write pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.workspace import committed

_JPEG_QUALITY = 82


def write_png(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write an RGB picture (H, W, 3) as a PNG, whole or not at all, and return `path`."""
    return _write(picture, path, ".png", ())


def write_jpeg(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write an RGB picture (H, W, 3) as a JPEG, whole or not at all, and return `path`."""
    return _write(picture, path, ".jpg", (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))


def _write(picture: NDArray[np.uint8], path: Path, kind: str, parameters: Sequence[int]) -> Path:
    _, encoded = cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), parameters)
    with committed(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path
