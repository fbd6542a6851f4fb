"""Scenes that figures leave and come back to, for measuring how many of them get their old identity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.demo.figure import PersonFigure, Placement
from ssat.demo.light import Light
from ssat.demo.sequences import FPS, HEIGHT, WIDTH
from ssat.demo.texture import WARDROBE, Image, backdrop

_COLOURS = 10  # fewer than the wardrobe has, so that figures share them
_CROSSING_SECONDS = (5.0, 10.0)
_BOX_NOISE = 0.02  # standard deviation of a detected side, as a share of the box's height
_MIN_INSIDE, _MAX_HIDDEN = 0.3, 0.7  # shares of a box


@dataclass(frozen=True)
class VisitFrame:
    """One frame of a scene.

    Attributes:
        number: counted from 1.
        image: (HEIGHT, WIDTH, 3) RGB.
        figures: (n,) which figures are in the image, counted from 0.
        visits: (n,) which visit of the figure this is, counted from 0.
        boxes: (n, 4) x1 y1 x2 y2 of the whole figures, pixels.
    """

    number: int
    image: Image
    figures: NDArray[np.int64]
    visits: NDArray[np.int64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class _Visit:
    """One crossing of the image from side to side."""

    figure: int
    number: int
    start: float  # seconds
    seconds: float
    lane: float  # row of the feet
    facing: int

    def placement(self, time_s: float) -> Placement:
        height = 0.4 * self.lane
        way = (time_s - self.start) / self.seconds
        x = -0.2 * height + way * (WIDTH + 0.4 * height)
        return Placement(x if self.facing > 0 else WIDTH - x, self.lane, height, 1.2 * time_s, self.facing)


def render_visits(
    seed: int, figures: int, visits: int, absence_seconds: tuple[float, float], fps: int = FPS
) -> Iterator[VisitFrame]:
    """Render a scene in which every figure crosses the image `visits` times.

    Args:
        seed: of the place, the figures, their ways and the light.
        figures: how many there are.
        visits: crossings of each.
        absence_seconds: shortest and longest time between two crossings of a figure, drawn uniformly.
        fps: frames per second.
    """
    rng = np.random.default_rng([seed, 5])
    place = backdrop(rng, HEIGHT, WIDTH)
    palette = [WARDROBE[int(i)] for i in rng.choice(len(WARDROBE), _COLOURS, replace=False)]
    people = [PersonFigure.draw(rng, palette) for _ in range(figures)]
    planned: list[_Visit] = []
    for figure in range(figures):
        start = float(rng.uniform(0, absence_seconds[1] / 2))
        for number in range(visits):
            seconds, lane = float(rng.uniform(*_CROSSING_SECONDS)), float(rng.uniform(0.6, 0.95)) * HEIGHT
            planned.append(_Visit(figure, number, start, seconds, lane, int(rng.choice([-1, 1]))))
            start += seconds + float(rng.uniform(*absence_seconds))
    light = Light.draw(rng, HEIGHT, WIDTH, contrast=0.5, swing=0.15)
    length = max(visit.start + visit.seconds for visit in planned)
    for index in range(int(length * fps)):
        time_s = index / fps
        here = [visit for visit in planned if visit.start <= time_s < visit.start + visit.seconds]
        here.sort(key=lambda visit: visit.lane)  # far to near
        image = place.copy()
        placements = [visit.placement(time_s) for visit in here]
        for visit, placement in zip(here, placements, strict=True):
            placement.paste(people[visit.figure], image)
        boxes = [placement.box(people[visit.figure]) for visit, placement in zip(here, placements, strict=True)]
        yield VisitFrame(
            index + 1,
            light.apply(image, time_s, index),
            np.array([visit.figure for visit in here], np.int64),
            np.array([visit.number for visit in here], np.int64),
            np.array(boxes, np.float64).reshape(-1, 4),
        )


def detect_visitors(frame: VisitFrame, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return detections of a frame: boxes (d, 4) x1 y1 x2 y2 in pixels, and the rows (d,) of the figures they show.

    Boxes are cut at the border and shifted at random; figures that are mostly outside or hidden have none.
    """
    inside = np.clip(frame.boxes, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
    share = _area(inside) / _area(frame.boxes)
    # Figures come from far to near: the later ones hide the earlier.
    areas = np.maximum(_area(inside), 1e-9).tolist()
    hidden = [
        max((_overlap(box, nearer) / areas[row] for nearer in inside[row + 1 :]), default=0.0)
        for row, box in enumerate(inside)
    ]
    rows = np.flatnonzero((share > _MIN_INSIDE) & (np.array(hidden) < _MAX_HIDDEN))
    height = inside[rows, 3:] - inside[rows, 1:2]
    noisy = inside[rows] + _BOX_NOISE * height * rng.normal(size=(len(rows), 4))
    return np.clip(noisy, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT)), rows


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    area: NDArray[np.float64] = sides[..., 0] * sides[..., 1]
    return area


def _overlap(box: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(_area(np.concatenate((np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])))))
