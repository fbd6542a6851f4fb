"""Walking figures: an appearance drawn at random, rendered once as a cycle of sprites, then pasted into frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.demo.texture import CLOTHS, WARDROBE, Colour, Image, cloth, two_of

PHASES = 8
_HEIGHT, _WIDTH = 192, 128  # of a sprite, in pixels; the figure stands on the lower edge, its hip at the middle
_SKINS: tuple[Colour, ...] = ((240, 204, 176), (214, 164, 126), (164, 112, 78), (104, 68, 48))
_HAIRS: tuple[Colour, ...] = ((36, 28, 24), (96, 62, 34), (196, 160, 92), (150, 146, 142), (140, 56, 30))


@dataclass(frozen=True)
class PersonFigure:
    """One figure: `sprites` (PHASES, h, w, 4) RGBA, and per phase the tight box of what is opaque.

    `boxes` (PHASES, 4) are (x1, y1, x2, y2) in sprite pixels, x2 and y2 exclusive.
    """

    sprites: NDArray[np.uint8]
    boxes: NDArray[np.int64]

    @classmethod
    def draw(cls, rng: np.random.Generator, palette: Sequence[Colour] = WARDROBE) -> PersonFigure:
        """Return a figure with clothes from `palette`: cloth, cut, build, hair and bag are drawn from `rng`."""
        wear = _Wear.draw(rng, palette)
        sprites = np.stack([wear.pose(2 * math.pi * phase / PHASES) for phase in range(PHASES)])
        boxes = np.array([_tight_box(sprite[..., 3]) for sprite in sprites])
        return cls(sprites, boxes)


def _tight_box(alpha: Image) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero((alpha > 127).any(axis=1)), np.flatnonzero((alpha > 127).any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True)
class _Wear:
    skin: Colour
    hair: Colour
    hat: Colour | None
    bag: Colour | None
    shoes: Colour
    shirt: Image
    sleeves: Image
    trousers: Image
    long_sleeves: bool
    coat: float  # how far the upper garment reaches below the hip, as a share of the leg
    build: float  # width of the body, 1 is usual

    @classmethod
    def draw(cls, rng: np.random.Generator, palette: Sequence[Colour]) -> _Wear:
        upper, lower = two_of(rng, palette), two_of(rng, palette)
        shirt = cloth(rng, str(rng.choice(CLOTHS)), _HEIGHT, _WIDTH, *upper)
        plain_sleeves = rng.random() < 0.4
        return cls(
            skin=_SKINS[int(rng.integers(len(_SKINS)))],
            hair=_HAIRS[int(rng.integers(len(_HAIRS)))],
            hat=palette[int(rng.integers(len(palette)))] if rng.random() < 0.3 else None,
            bag=palette[int(rng.integers(len(palette)))] if rng.random() < 0.35 else None,
            shoes=palette[int(rng.integers(len(palette)))],
            shirt=shirt,
            sleeves=cloth(rng, "plain", _HEIGHT, _WIDTH, upper[1], upper[0]) if plain_sleeves else shirt,
            trousers=cloth(rng, str(rng.choice(["plain", *CLOTHS])), _HEIGHT, _WIDTH, *lower),
            long_sleeves=bool(rng.random() < 0.6),
            coat=float(rng.choice([0.0, 0.0, 0.35, 0.6])),
            build=float(rng.uniform(0.85, 1.25)),
        )

    def pose(self, angle: float) -> NDArray[np.uint8]:
        """Return the sprite (h, w, 4) RGBA at `angle` of the walk, walking to the right."""
        canvas = _Canvas()
        h, middle = float(_HEIGHT), _WIDTH / 2
        lift = 0.012 * h * abs(math.sin(angle))
        hip = (middle, 0.52 * h - lift)
        shoulder = (middle + 0.01 * h, 0.23 * h - lift)
        head = (middle + 0.02 * h, 0.1 * h - lift)
        half = 0.085 * h * self.build
        near, far = math.sin(angle), -math.sin(angle)
        self._arm(canvas, shoulder, far)
        self._leg(canvas, hip, far, math.cos(angle) < 0)
        self._leg(canvas, hip, near, math.cos(angle) > 0)
        if self.bag is not None:
            canvas.ellipse((middle - half - 0.02 * h, 0.36 * h - lift), (0.055 * h, 0.1 * h), self.bag)
        hem = hip[1] + (0.02 + 0.46 * self.coat) * h
        flare = half * (1 + 0.5 * self.coat)
        torso = [
            (shoulder[0] - half, shoulder[1]),
            (shoulder[0] - 0.4 * half, shoulder[1] - 0.035 * h),
            (shoulder[0] + 0.4 * half, shoulder[1] - 0.035 * h),
            (shoulder[0] + half, shoulder[1]),
            (hip[0] + flare, hem),
            (hip[0] - flare, hem),
        ]
        canvas.polygon(torso, self.shirt)
        canvas.ellipse(head, (0.058 * h, 0.075 * h), self.skin)
        canvas.ellipse((head[0] - 0.012 * h, head[1] - 0.03 * h), (0.062 * h, 0.052 * h), self.hair)
        if self.hat is not None:
            canvas.ellipse((head[0] + 0.01 * h, head[1] - 0.045 * h), (0.08 * h, 0.04 * h), self.hat)
        self._arm(canvas, shoulder, near)
        return canvas.rgba()

    def _leg(self, canvas: _Canvas, hip: tuple[float, float], swing: float, lifted: bool) -> None:
        h = float(_HEIGHT)
        thigh = 0.5 * swing
        shin = thigh - (0.55 * (1 - abs(swing)) + 0.1 if lifted else 0.05)
        knee = (hip[0] + 0.235 * h * math.sin(thigh), hip[1] + 0.235 * h * math.cos(thigh))
        ankle = (knee[0] + 0.21 * h * math.sin(shin), knee[1] + 0.21 * h * math.cos(shin))
        canvas.limb(hip, knee, 0.085 * h * self.build, self.trousers)
        canvas.limb(knee, ankle, 0.062 * h * self.build, self.trousers)
        canvas.ellipse((ankle[0] + 0.018 * h, ankle[1] + 0.01 * h), (0.045 * h, 0.02 * h), self.shoes)

    def _arm(self, canvas: _Canvas, shoulder: tuple[float, float], swing: float) -> None:
        h = float(_HEIGHT)
        upper, lower = -0.6 * swing, -0.6 * swing + 0.35
        elbow = (shoulder[0] + 0.15 * h * math.sin(upper), shoulder[1] + 0.02 * h + 0.15 * h * math.cos(upper))
        hand = (elbow[0] + 0.13 * h * math.sin(lower), elbow[1] + 0.13 * h * math.cos(lower))
        canvas.limb(elbow, hand, 0.045 * h, self.sleeves if self.long_sleeves else self.skin)
        canvas.limb((shoulder[0], shoulder[1] + 0.02 * h), elbow, 0.055 * h * self.build, self.sleeves)
        canvas.ellipse(hand, (0.02 * h, 0.02 * h), self.skin)


class _Canvas:
    """An RGBA drawing; each part is a mask through which a colour or a cloth shows, with a dark seam around it."""

    def __init__(self) -> None:
        self._rgb = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
        self._alpha = np.zeros((_HEIGHT, _WIDTH), np.uint8)

    def limb(self, a: tuple[float, float], b: tuple[float, float], thickness: float, fill: Image | Colour) -> None:
        mask = self._blank()
        cv2.line(mask, _point(a), _point(b), 255, max(1, round(thickness)), cv2.LINE_AA)
        self._show(mask, fill)

    def polygon(self, points: Sequence[tuple[float, float]], fill: Image | Colour) -> None:
        mask = self._blank()
        cv2.fillPoly(mask, [np.array([_point(p) for p in points], np.int32)], 255, cv2.LINE_AA)
        self._show(mask, fill)

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], fill: Image | Colour) -> None:
        mask = self._blank()
        cv2.ellipse(mask, _point(centre), _point(radii), 0, 0, 360, 255, -1, cv2.LINE_AA)
        self._show(mask, fill)

    def rgba(self) -> NDArray[np.uint8]:
        return np.dstack([self._rgb, self._alpha])

    def _blank(self) -> Image:
        return np.zeros((_HEIGHT, _WIDTH), np.uint8)

    def _show(self, mask: Image, fill: Image | Colour) -> None:
        x, y, w, h = cv2.boundingRect(mask)
        part = (slice(y, y + h), slice(x, x + w))
        source = np.array(fill, np.float32) if isinstance(fill, tuple) else fill[part].astype(np.float32)
        weight = mask[part].astype(np.float32)[..., None] / 255.0
        # Darker towards the rim: without it an arm in the torso's own cloth could not be seen.
        core = cv2.blur(mask[part], (7, 7), borderType=cv2.BORDER_CONSTANT).astype(np.float32)[..., None] / 255.0
        shaded = source * (0.6 + 0.4 * core)
        self._rgb[part] = np.clip(self._rgb[part] * (1 - weight) + shaded * weight, 0, 255).astype(np.uint8)
        self._alpha[part] = np.maximum(self._alpha[part], mask[part])


def _point(p: tuple[float, float]) -> tuple[int, int]:
    return round(p[0]), round(p[1])


@dataclass(frozen=True)
class Placement:
    """Position of a figure in an image: hip at column `x`, feet on row `y`, `height` pixels tall.

    `stride` counts walking cycles, a whole one per 1.0; `facing` is +1 for right, -1 for left.
    """

    x: float
    y: float
    height: float
    stride: float
    facing: int

    def _phase(self) -> int:
        return int(self.stride % 1.0 * PHASES) % PHASES

    def box(self, figure: PersonFigure) -> tuple[float, float, float, float]:
        """Return the whole figure's box (x1, y1, x2, y2) in image pixels, hidden parts and parts outside included."""
        x1, y1, x2, y2 = figure.boxes[self._phase()]
        scale = self.height / _HEIGHT
        left, right = x1 - _WIDTH / 2, x2 - _WIDTH / 2
        if self.facing < 0:
            left, right = -right, -left
        top, bottom = self.y + (y1 - _HEIGHT) * scale, self.y + (y2 - _HEIGHT) * scale
        return self.x + left * scale, top, self.x + right * scale, bottom

    def opaque_pixels(self, figure: PersonFigure) -> float:
        """Return how many image pixels the whole figure covers, parts outside the image included."""
        return float((figure.sprites[self._phase(), :, :, 3] > 127).sum()) * (self.height / _HEIGHT) ** 2

    def paste(self, figure: PersonFigure, image: NDArray[np.uint8]) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
        """Draw the figure over `image` (h, w, 3) in place.

        Returns:
            The part of the image that was touched, and the figure's opacity there (uint8, 255 is opaque). Both are
            empty for a figure outside the image.
        """
        scale = self.height / _HEIGHT
        half = _WIDTH / 2 * scale
        left, top = math.floor(self.x - half), math.floor(self.y - self.height)
        width, height = math.ceil(2 * half) + 2, math.ceil(self.height) + 2
        x1, y1 = max(0, left), max(0, top)
        x2, y2 = min(image.shape[1], left + width), min(image.shape[0], top + height)
        if x1 >= x2 or y1 >= y2:
            empty = (slice(0, 0), slice(0, 0))
            return empty, np.zeros((0, 0), np.uint8)
        # Pixel centres lie at +0.5: without the half pixels the sprite would shift with its scale.
        first = self.x - self.facing * half + (scale * self.facing - 1) / 2
        affine = np.array(
            [[scale * self.facing, 0, first - x1], [0, scale, self.y - self.height + (scale - 1) / 2 - y1]], np.float32
        )
        sprite = figure.sprites[self._phase()]
        size = (x2 - x1, y2 - y1)
        if scale < 0.7:  # bilinear sampling alone would alias stripes
            sprite = _halved(figure, self._phase())
            affine[:, :2] *= 2
            affine[:, 2] += affine[:, :2] @ np.array([0.25, 0.25], np.float32)
        warped = cv2.warpAffine(sprite, affine, size, flags=cv2.INTER_LINEAR)
        part = (slice(y1, y2), slice(x1, x2))
        weight = warped[..., 3:].astype(np.float32) / 255.0
        image[part] = (image[part] * (1 - weight) + warped[..., :3] * weight + 0.5).astype(np.uint8)
        return part, np.asarray(warped[..., 3], np.uint8)


def _halved(figure: PersonFigure, phase: int) -> NDArray[np.uint8]:
    sprite = figure.sprites[phase]
    halved = cv2.resize(sprite, (_WIDTH // 2, _HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(halved, np.uint8)
