"""A colour histogram as an appearance feature: no training, no weights, the baseline that a network has to beat."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.embedding.protocol import check_patches

_STRIPES = 4  # horizontal: head, upper body, legs, feet
_BINS = (8, 4, 4)  # of hue, saturation and value
_HUES = 180  # OpenCV's hue of 8-bit images is counted in steps of 2 degrees
_HALF_WIDTH = 0.4  # of the ellipse, in widths of the box; it is as high as the box
_TO_HSV = cv2.COLOR_RGB2HSV
_VERSION = "colour-histogram-2"


class ColourEmbedder:
    """Describe a patch by the colours of four horizontal stripes; used like `ssat.embedding.Embedder`.

    Only pixels in an upright ellipse count, four fifths of the box wide: its corners show background more often than a
    person. The feature is the square root of one HSV histogram per stripe (8 x 4 x 4 bins), L2-normalised: the cosine
    of two features is the mean Bhattacharyya coefficient of their stripes.

    Args:
        input_size: side of the square patches, pixels.

    Attributes:
        feature_dim: 512.
    """

    feature_dim = _STRIPES * _BINS[0] * _BINS[1] * _BINS[2]

    def __init__(self, input_size: int = 64) -> None:
        self.input_size = input_size
        row_S1 = (np.arange(input_size)[:, None] + 0.5) / input_size
        column_1S = (np.arange(input_size)[None, :] + 0.5) / input_size
        self._inside = ((row_S1 - 0.5) / 0.5) ** 2 + ((column_1S - 0.5) / _HALF_WIDTH) ** 2 < 1
        stripes_SS = np.broadcast_to(np.arange(input_size)[:, None] * _STRIPES // input_size, self._inside.shape)
        stripes = stripes_SS[self._inside]
        bins_per_stripe = self.feature_dim // _STRIPES
        self._first_bin = stripes * bins_per_stripe
        self._pixels_F = np.bincount(stripes, minlength=_STRIPES).repeat(bins_per_stripe)

    @property
    def digest(self) -> str:
        """SHA-256 that names the embedder in a cache key."""
        return hashlib.sha256(f"{_VERSION} {_STRIPES} {_BINS} {self.input_size}".encode()).hexdigest()

    def __call__(self, patches: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
        """Return L2-normalised features (B, 512) of RGB patches (B, S, S, 3), S = `input_size`.

        Raises:
            InputError: patches of another shape or type.
        """
        check_patches(patches, self)
        features_BF = np.empty((len(patches), self.feature_dim), np.float32)
        for patch, feature in zip(patches, features_BF, strict=True):
            hue, saturation, value = (channel[self._inside] for channel in cv2.split(cv2.cvtColor(patch, _TO_HSV)))
            index = hue.astype(np.intp) * _BINS[0] // _HUES
            index = (index * _BINS[1] + (saturation >> 6)) * _BINS[2] + (value >> 6) + self._first_bin
            counts = np.bincount(index, minlength=self.feature_dim)
            np.sqrt(counts / self._pixels_F / _STRIPES, out=feature, casting="same_kind")
        return features_BF
