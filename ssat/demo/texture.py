"""Procedural textures: cloth for the figures, backdrops for the scenes. Everything comes from a seeded generator."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

# RGB. Few colours, so that many figures share one and only its position and pattern distinguish them.
WARDROBE: tuple[Colour, ...] = (
    (232, 230, 224),
    (44, 44, 50),
    (128, 130, 134),
    (30, 44, 96),
    (58, 112, 190),
    (186, 40, 44),
    (110, 24, 48),
    (46, 122, 66),
    (112, 116, 52),
    (226, 190, 60),
    (222, 122, 42),
    (120, 66, 148),
    (218, 132, 164),
    (112, 76, 48),
    (200, 178, 140),
    (40, 140, 144),
)
CLOTHS = ("plain", "rows", "columns", "checks", "dots", "blotches", "halves", "diagonals")


def value_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> NDArray[np.float32]:
    """Smooth noise in [0, 1], shape (height, width); `cell` is the size of one bump in pixels."""
    rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
    grid = rng.random((rows, columns), dtype=np.float32)
    noise = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(noise, 0.0, 1.0).astype(np.float32)


def cloth(rng: np.random.Generator, kind: str, height: int, width: int, first: Colour, second: Colour) -> Image:
    """Return a piece of cloth, RGB (height, width, 3), in one of `CLOTHS`, of two colours (`plain` uses the first)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    period = float(rng.uniform(height / 22, height / 9))
    if kind == "plain":
        choice = np.zeros((height, width), bool)
    elif kind == "rows":
        choice = (y / period) % 1.0 < rng.uniform(0.35, 0.6)
    elif kind == "columns":
        choice = (x / period) % 1.0 < rng.uniform(0.35, 0.6)
    elif kind == "checks":
        choice = ((y // period) + (x // period)) % 2 == 0
    elif kind == "dots":
        shift = (y // period) % 2 * 0.5
        choice = ((x / period + shift) % 1.0 - 0.5) ** 2 + ((y / period) % 1.0 - 0.5) ** 2 < 0.09
    elif kind == "blotches":
        choice = value_noise(rng, height, width, period * 1.5) > 0.5
    elif kind == "halves":
        choice = y > height * rng.uniform(0.3, 0.45)
    elif kind == "diagonals":
        choice = ((x + y) / (1.6 * period)) % 1.0 < 0.5
    else:
        raise ValueError(f"no such cloth: {kind}")
    colours = np.array([first, second], np.float32)
    weave = 1.0 + 0.12 * (value_noise(rng, height, width, 3.0) - 0.5)
    return np.clip(colours[choice.astype(np.intp)] * weave[..., None], 0, 255).astype(np.uint8)


def backdrop(rng: np.random.Generator, height: int, width: int) -> Image:
    """Return a wall above a floor, each of its own material and colour, RGB (height, width, 3)."""
    horizon = int(height * rng.uniform(0.3, 0.55))
    image = np.empty((height, width, 3), np.float32)
    image[:horizon] = _material(rng, horizon, width)
    image[horizon:] = _material(rng, height - horizon, width)
    # Doors, posters, windows: flat rectangles with something on them.
    for _ in range(int(rng.integers(2, 6))):
        h, w = int(rng.uniform(0.12, 0.3) * height), int(rng.uniform(0.05, 0.16) * width)
        top, left = int(rng.integers(0, max(1, horizon - h // 2))), int(rng.integers(0, width - w))
        piece = _material(rng, h, w)
        image[top : top + h, left : left + w] = piece[: min(h, height - top)]
    slope = np.linspace(rng.uniform(0.75, 1.1), rng.uniform(0.75, 1.1), width, dtype=np.float32)
    return np.asarray(np.clip(image * slope[None, :, None], 0, 255), np.uint8)


def _material(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    base = np.array(WARDROBE[int(rng.integers(len(WARDROBE)))], np.float32)
    base = 0.55 * base + 0.45 * rng.uniform(60, 200)
    image = np.broadcast_to(base, (height, width, 3)).copy()
    kind = int(rng.integers(3))
    if kind == 0:  # bricks or tiles
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        tall = float(rng.uniform(8, 26))
        wide = tall * float(rng.uniform(1.0, 2.6))
        offset = (y // tall) % 2 * 0.5
        joint = ((y / tall) % 1.0 < 0.12) | ((x / wide + offset) % 1.0 < 0.08)
        image[joint] *= float(rng.uniform(0.55, 0.8))
    elif kind == 1:  # planks
        x = np.arange(width, dtype=np.float32)
        plank = (x // float(rng.uniform(10, 40))).astype(np.intp)
        image *= rng.uniform(0.8, 1.15, int(plank.max()) + 1)[plank][None, :, None].astype(np.float32)
    for cell, strength in ((48.0, 0.35), (9.0, 0.25)):
        image *= 1.0 + strength * (value_noise(rng, height, width, cell)[..., None] - 0.5)
    return image


def two_of(rng: np.random.Generator, palette: Sequence[Colour]) -> tuple[Colour, Colour]:
    """Return two different colours of `palette`."""
    first, second = rng.choice(len(palette), size=2, replace=False)
    return palette[int(first)], palette[int(second)]
