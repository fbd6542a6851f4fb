"""Write pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.workspace import committed


def write_png(picture: NDArray[np.uint8], path: Path) -> Path:
    """Write an RGB picture (H, W, 3) as a PNG, whole or not at all, and return `path`."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with committed(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path
