"""Several embedders used as one: their cosines are averaged with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.embedding.identity import combined_identity
from ssat.embedding.protocol import PatchEmbedder, check_patches, patch_shape


class CombinedEmbedder:
    """Concatenate the features of several embedders; used like `ssat.embedding.Embedder`.

    Every part is L2-normalised and multiplied by the square root of its share of the weights, so that the cosine of two
    combined features is the weighted mean of the parts' cosines.

    Args:
        parts: at least one.
        weights: one per part, positive; equal by default.

    Attributes:
        input_size: (height, width) of the patches, pixels: the largest of the parts; the others see them scaled down.
        digest: SHA-256 over the parts' digests and weights.

    Raises:
        InputError: no part, or weights that do not fit.
    """

    def __init__(self, parts: Sequence[PatchEmbedder], weights: Sequence[float] | None = None) -> None:
        weights = [1.0] * len(parts) if weights is None else list(weights)
        identity = combined_identity(parts, weights)
        self.parts = tuple(parts)
        self.weights = tuple(weight / sum(weights) for weight in weights)
        self.input_size = identity.input_size
        self.digest = identity.digest

    def __call__(self, patches: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
        """Return L2-normalised features (B, F) of RGB patches (B, H, W, 3), (H, W) = `input_size`.

        F is the sum of the parts' lengths.

        Raises:
            InputError: patches of another shape or type.
        """
        check_patches(patches, self)
        features = []
        for part, weight in zip(self.parts, self.weights, strict=True):
            feature_BF = part(_resized(patches, patch_shape(part)))
            norm_B1 = np.linalg.norm(feature_BF, axis=1, keepdims=True)
            features.append(feature_BF * (math.sqrt(weight) / np.maximum(norm_B1, 1e-12)))
        return np.concatenate(features, axis=1).astype(np.float32)


def _resized(patches: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if patches.shape[1:3] == shape:
        return patches
    resized = np.empty((len(patches), *shape, 3), np.uint8)
    for patch, target in zip(patches, resized, strict=True):
        target[:] = cv2.resize(patch, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return resized
