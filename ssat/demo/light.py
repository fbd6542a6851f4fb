"""Light that changes over a scene and over time: exposure, tint, a bright and a shaded side, sensor noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.demo.texture import Image, value_noise


@dataclass(frozen=True)
class Light:
    """Light of a scene: a map (h, w), a slow swing of brightness, and a tint (RGB) that drifts to another."""

    shade: NDArray[np.float32]
    tints: NDArray[np.float32]  # (2, 3)
    swing: float
    period_s: float
    start: float
    noise: Image  # (n, h, w), 0 to 12 around a mean of 6; drawn once, used in turn

    @classmethod
    def draw(cls, rng: np.random.Generator, height: int, width: int, *, contrast: float, swing: float) -> Light:
        """Light for images of `height` x `width` pixels.

        Args:
            contrast: how much darker the shaded parts of the scene are, 0 to 1.
            swing: share by which the brightness goes up and down, at most.
        """
        noise = value_noise(rng, height, width, max(height, width) / 3)
        spread = noise - noise.min()
        spread /= max(float(spread.max()), 1e-6)
        return cls(
            shade=1.08 - contrast * spread,
            tints=rng.uniform(0.82, 1.12, (2, 3)).astype(np.float32),
            swing=swing * float(rng.uniform(0.5, 1.0)),
            period_s=float(rng.uniform(1.5, 6.0)),
            start=float(rng.uniform(0, 2 * math.pi)),
            noise=rng.integers(0, 13, (4, height, width), dtype=np.uint8),
        )

    def apply(self, image: Image, time_s: float, index: int) -> Image:
        """Return the lit frame (h, w, 3) at `time_s`; `index` picks the noise."""
        wave = math.sin(self.start + 2 * math.pi * time_s / self.period_s)
        mixed = self.tints[0] + (self.tints[1] - self.tints[0]) * (
            0.5 + 0.5 * math.sin(1.7 * self.start + 0.6 * time_s)
        )
        weights = cv2.merge([self.shade * float((1.0 + self.swing * wave) * tint) for tint in mixed])
        lit = cv2.multiply(image, weights, dtype=cv2.CV_8U)
        grain = cv2.merge([self.noise[index % len(self.noise)]] * 3)
        return np.asarray(cv2.addWeighted(lit, 1.0, grain, 1.0, -6.0), np.uint8)
