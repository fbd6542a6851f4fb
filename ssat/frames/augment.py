"""From a JPEG of the store to one square training crop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ssat.errors import InputError

Image = NDArray[np.uint8]

# Random numbers that one crop takes: position (2), flip, area, aspect, brightness, contrast. Always drawn, so that
# switching one augmentation off leaves the others as they were.
DRAWS = 7

_MAX_PIXELS = 2**26


@dataclass(frozen=True)
class Augment:
    """Augmentation besides the random crop. All off: the paper's plain random crop.

    Attributes:
        flip: mirror half of the crops left to right.
        scale: least and greatest area of the window as a fraction of the frame's area; None keeps the window at the
            size of the crop.
        aspect: least and greatest width / height of the window, drawn log-uniformly; needs `scale`.
        brightness: a factor drawn from 1 ± brightness.
        contrast: a factor about the crop's mean, drawn from 1 ± contrast.
    """

    flip: bool = False
    scale: tuple[float, float] | None = None
    aspect: tuple[float, float] | None = None
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise InputError(f"augment scale {self.scale}: expected fractions of the area, 0 < least ≤ greatest ≤ 1")
        if self.aspect is not None and not 0 < self.aspect[0] <= self.aspect[1]:
            raise InputError(f"augment aspect {self.aspect}: expected width / height, 0 < least ≤ greatest")
        if self.aspect is not None and self.scale is None:
            raise InputError("augment aspect without scale has no effect: give both, or neither")
        for name in ("brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"augment {name} {getattr(self, name)}: expected 0 ≤ {name} < 1")

    def into(self, out: Image, frame: Image, short_side: int, draws: NDArray[np.float64]) -> None:
        """Write one random crop of `frame` (h, w, 3) into `out` (c, c, 3); `draws`: `DRAWS` numbers in [0, 1)."""
        size = out.shape[0]
        height, width = frame.shape[:2]
        if self.scale is None:
            side = window_side(frame, size, short_side)
            window_w, window_h = side, side
        else:
            window_w, window_h = self.window_size(self.scale, width, height, draws[3], draws[4])
        left = int(draws[0] * (width - window_w + 1))
        top = int(draws[1] * (height - window_h + 1))
        resize_into(out, frame[top : top + window_h, left : left + window_w])
        if self.flip and draws[2] < 0.5:
            cv2.flip(out.copy(), 1, dst=out)
        if self.brightness or self.contrast:
            gain = 1 + self.contrast * (2 * draws[6] - 1)
            light = 1 + self.brightness * (2 * draws[5] - 1)
            mean = sum(cv2.mean(out)) / 3
            table = (np.arange(256) * gain + mean * (1 - gain)) * light
            cv2.LUT(out, np.clip(np.rint(table), 0, 255).astype(np.uint8), dst=out)

    def window_size(
        self, scale: tuple[float, float], width: int, height: int, area_draw: float, aspect_draw: float
    ) -> tuple[int, int]:
        """Return width and height of the cut-out window in a frame, in pixels, from two random numbers in [0, 1)."""
        least, greatest = scale
        area = width * height * (least + (greatest - least) * area_draw)
        low, high = (math.log(bound) for bound in self.aspect or (1.0, 1.0))
        aspect = math.exp(low + (high - low) * aspect_draw)
        window_w, window_h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        # A window that does not fit keeps its aspect and loses area.
        fit = min(1.0, width / window_w, height / window_h)
        return max(1, round(window_w * fit)), max(1, round(window_h * fit))


class FrameDecoder:
    """Decoder of frames into one reused memory. Not thread-safe: one per thread."""

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint8)

    def decode(self, jpeg: bytes, short_side: int) -> Image:
        """Return the frame (h, w, 3) RGB, at the smallest DCT scale whose short side is at least `short_side`.

        Valid until the next call. Only scales of 1/2 and less are used: libjpeg-turbo has no fast transform for those
        between 1/2 and 1.

        Raises:
            ValueError: not a whole JPEG.
        """
        wanted = {"min_height": short_side, "min_width": short_side, "min_factor": 2}
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg, **wanted)
        if height * width > _MAX_PIXELS:
            raise ValueError(f"a JPEG of {width}x{height} pixels is no frame of a store")
        # New memory for each frame costs a seventh of the time, because the kernel clears its pages.
        if len(self._buffer) < height * width * 3:
            self._buffer = np.empty(height * width * 3, np.uint8)
        image: Image = simplejpeg.decode_jpeg(jpeg, "RGB", **wanted, buffer=self._buffer)
        return image


def window_side(frame: Image, crop: int, short_side: int) -> int:
    """Side in pixels of `frame` of what a crop of `crop` pixels covers when the short side is `short_side`."""
    shorter = int(min(frame.shape[:2]))
    return min(shorter, max(1, round(crop * shorter / short_side)))


def centre_crop(frame: Image, crop: int, short_side: int) -> Image:
    """(crop, crop, 3): the middle of `frame` with its short side at `short_side`."""
    side = window_side(frame, crop, short_side)
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    out = np.empty((crop, crop, 3), np.uint8)
    resize_into(out, frame[top : top + side, left : left + side])
    return out


def resize_into(out: Image, window: Image) -> None:
    """`window` (h, w, 3) resized to `out` (c, c, 3): area averaging to shrink, bilinear to enlarge."""
    size = out.shape[0]
    if window.shape == out.shape:
        out[...] = window
        return
    shrinks = window.shape[0] > size and window.shape[1] > size
    cv2.resize(window, (size, size), dst=out, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
