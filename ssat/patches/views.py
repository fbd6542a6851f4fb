"""Views of a followed patch that differ as detections of one person do: other background, misplaced, blurred, covered.

Method of section 8 of the project's notes on what goes beyond the paper: a patch carries its background along, people
walk in front of theirs, so the background of a view is another patch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.patches.clips import CONTEXT, CUT_HEIGHT, CUT_WIDTH, PatchTable

Image = NDArray[np.uint8]

_BOX_HEIGHT, _BOX_WIDTH = CUT_HEIGHT / CONTEXT, CUT_WIDTH / CONTEXT  # of the box in a cut, pixels


@dataclass(frozen=True)
class ViewRule:
    """Rule for drawing views; lengths as shares of the box.

    Attributes:
        size: height and width of a view, pixels.
        background: probability that the background is replaced, outside a soft upright ellipse.
        cover: probability that a side, the feet or a block is covered by another patch.
        shift, scale: largest misplacement, and largest logarithm of the change of size.
        warp: strength of rows that slide sideways, as in a walk.
        blur: probability of a loss of resolution.
        mirror: probability that a view is mirrored.
        gain, channel_gain: largest logarithm of the change of brightness, and of each colour's.
    """

    size: tuple[int, int] = (128, 64)
    background: float = 1.0
    cover: float = 0.25
    shift: float = 0.08
    scale: float = 0.12
    warp: float = 0.08
    blur: float = 0.5
    mirror: float = 0.5
    gain: float = 0.08
    channel_gain: float = 0.02


def view(table: PatchTable, row: int, rng: np.random.Generator, rule: ViewRule) -> Image:
    """Return one view (H, W, 3) uint8 of a row of the table; other patches of it lend what is in front and behind."""

    def cover() -> Image:
        cut: Image = table.cuts[rng.integers(len(table))]
        return cut

    return view_of_cut(table.cuts[row], lambda: _other(table, row, rng), cover, rng, rule)


def view_of_cut(
    image: Image,
    behind: Callable[[], Image],
    cover: Callable[[], Image],
    rng: np.random.Generator,
    rule: ViewRule,
    size: tuple[int, int] | None = None,
) -> Image:
    """Return one view (H, W, 3) uint8 of a cut (160, 80, 3).

    Args:
        image: the cut, as `cut_out` makes it.
        behind: gives the cut that replaces the background; called where it is replaced.
        cover: gives the cut that covers a part; called where one is covered.
        rng: draws what happens.
        rule: how views are drawn.
        size: height and width of the view, pixels, in place of those of `rule`.
    """
    height, width = size or rule.size
    if rng.random() < rule.background:
        image = _before(behind(), image, rng)
    if rng.random() < rule.cover:
        image = _covered(image, cover(), rng)
    image = _placed(image, rng, rule, height, width)
    if rng.random() < rule.blur:
        factor = rng.uniform(1.2, 4.0)
        small = (max(8, int(width / factor)), max(16, int(height / factor)))
        small_image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small_image, (width, height), interpolation=cv2.INTER_LINEAR))
    gains = np.exp(rng.uniform(-rule.gain, rule.gain) + rng.uniform(-rule.channel_gain, rule.channel_gain, 3))
    levels = np.clip(np.arange(256)[:, None] * gains + rng.uniform(-8, 8), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, levels[None]))


def _other(table: PatchTable, row: int, rng: np.random.Generator) -> Image:
    """Return a cut of another patch, half of the times of the same frames, whose background is the likeliest."""
    together = np.flatnonzero((table.start == table.start[row]) & (table.patch != table.patch[row]))
    near = len(together) > 0 and rng.random() < 0.5
    chosen = table.cuts[rng.choice(together) if near else rng.integers(len(table))]
    return np.asarray(chosen[:, ::-1] if rng.random() < 0.5 else chosen)


def _before(background: Image, image: Image, rng: np.random.Generator) -> Image:
    """Return the middle of `image` in front of `background`, with a soft edge."""
    radius_x, radius_y = rng.uniform(0.30, 0.48), rng.uniform(0.42, 0.55)
    y = (np.arange(CUT_HEIGHT)[:, None] + 0.5 - CUT_HEIGHT / 2) / _BOX_HEIGHT - rng.normal(0, 0.03)
    x = (np.arange(CUT_WIDTH)[None] + 0.5 - CUT_WIDTH / 2) / _BOX_WIDTH - rng.normal(0, 0.04)
    distance = np.sqrt((x / radius_x) ** 2 + (y / radius_y) ** 2)
    share = np.clip((1 - distance) / rng.uniform(0.05, 0.3) + 0.5, 0, 1)[..., None]
    return np.asarray(background + share * (image.astype(np.float32) - background)).astype(np.uint8)


def _covered(image: Image, other: Image, rng: np.random.Generator) -> Image:
    image, share = image.copy(), 0.1 + rng.uniform(0.05, 0.35)
    where = rng.integers(4)
    top, bottom, left, right = 0, CUT_HEIGHT, 0, CUT_WIDTH
    if where == 0:
        right = int(CUT_WIDTH * share)
    elif where == 1:
        left = CUT_WIDTH - int(CUT_WIDTH * share)
    elif where == 2:
        top = CUT_HEIGHT - int(CUT_HEIGHT * share)
    else:
        tall, wide = int(CUT_HEIGHT * rng.uniform(0.2, 0.5)), int(CUT_WIDTH * rng.uniform(0.2, 0.5))
        top, left = int(rng.integers(CUT_HEIGHT - tall)), int(rng.integers(CUT_WIDTH - wide))
        bottom, right = top + tall, left + wide
    image[top:bottom, left:right] = other[top:bottom, left:right]
    return image


def _placed(image: Image, rng: np.random.Generator, rule: ViewRule, height: int, width: int) -> Image:
    """Return the box, misplaced and misjudged in size, at the size of a view; mirrored by chance."""
    scale = np.exp(rng.uniform(-rule.scale, rule.scale))
    aspect = np.exp(rng.uniform(-rule.scale, rule.scale) / 2)
    tall, wide = min(_BOX_HEIGHT * scale * aspect, CUT_HEIGHT - 2), min(_BOX_WIDTH * scale / aspect, CUT_WIDTH - 1)
    centre_y = CUT_HEIGHT / 2 + rng.uniform(-1, 1) * rule.shift * _BOX_HEIGHT
    centre_x = CUT_WIDTH / 2 + rng.uniform(-1, 1) * rule.shift * _BOX_WIDTH
    top = np.clip(centre_y, tall / 2, CUT_HEIGHT - tall / 2) - tall / 2
    left = np.clip(centre_x, wide / 2, CUT_WIDTH - wide / 2) - wide / 2
    x = left + (np.arange(width) + 0.5) * wide / width - 0.5
    y = top + (np.arange(height) + 0.5) * tall / height - 0.5
    if rng.random() < rule.mirror:
        x = x[::-1]
    slide = np.zeros(height)
    if rule.warp and rng.random() < 0.6:
        phase = 2 * np.pi * (np.arange(height) + 0.5) / height
        a, b, c, d = rng.normal(0, 1, 4)
        slide = a * np.sin(phase) + b * np.cos(phase) + 0.7 * (c * np.sin(2 * phase) + d * np.cos(2 * phase))
        slide *= rule.warp * _BOX_WIDTH / 2
    map_x = (x[None] + slide[:, None]).astype(np.float32)
    map_y = np.repeat(y[:, None], width, axis=1).astype(np.float32)
    return np.asarray(cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
