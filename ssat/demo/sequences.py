"""MOT sequences of the demo: figures that cross and hide each other, with exact ground truth and a poor detector."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.demo.figure import PersonFigure, Placement
from ssat.demo.light import Light
from ssat.demo.texture import WARDROBE, Image, backdrop
from ssat.file_names import DETECTIONS, LABELS, SEQUENCE_INFO
from ssat.workspace import committed

WIDTH, HEIGHT, FPS = 640, 360, 10
_PILLARS = 2
_COLOURS = 10  # the wardrobe of one sequence: fewer colours than there are, so that figures share them


@dataclass(frozen=True)
class Frame:
    """One rendered frame with what is true of it.

    `image` (HEIGHT, WIDTH, 3) RGB; `boxes` (n, 4) x1, y1, x2, y2 of whole figures in pixels, hidden parts included;
    `visibility` (n,): the share of a figure's opaque pixels that is in the image and not covered. Row i is figure i.
    """

    image: Image
    boxes: NDArray[np.float64]
    visibility: NDArray[np.float64]


@dataclass(frozen=True)
class _Path:
    """A walk to and fro between two columns, while the lane (the feet's row) drifts up and down."""

    left: float
    right: float
    start: float
    speed: float  # body heights per second
    lane: float
    drift: float
    drift_start: float

    def placement(self, time_s: float) -> Placement:
        y = self.lane + self.drift * math.sin(self.drift_start + 0.5 * time_s)
        y = min(max(y, 0.56 * HEIGHT), 0.97 * HEIGHT)
        # Perspective: figures lower in the image are nearer and taller.
        height = 0.4 * y
        length = self.right - self.left
        way = (self.start + self.speed * 0.4 * self.lane * time_s / length) % 2.0
        turned = way > 1.0
        x = self.left + length * (2.0 - way if turned else way)
        return Placement(x, y, height, self.speed * time_s / 0.75, -1 if turned else 1)


def render_sequence(seed: int, sequence: int, frames: int, figures: int) -> Iterator[Frame]:
    """Yield the frames of one sequence. Its place and its figures appear in no clip: their seeds differ."""
    rng = np.random.default_rng([seed, 3, sequence])
    place = backdrop(rng, HEIGHT, WIDTH)
    palette = [WARDROBE[int(i)] for i in rng.choice(len(WARDROBE), _COLOURS, replace=False)]
    people = [PersonFigure.draw(rng, palette) for _ in range(figures)]
    paths = [_path(rng) for _ in range(figures)]
    pillars = _pillars(rng)
    light = Light.draw(rng, HEIGHT, WIDTH, contrast=0.6, swing=0.2)
    for index in range(frames):
        placements = [path.placement(index / FPS) for path in paths]
        image = place.copy()
        owner = np.full((HEIGHT, WIDTH), -1, np.int16)
        opaque = np.zeros(figures)
        standing = [(placement.y, i) for i, placement in enumerate(placements)]
        standing += [(foot, figures + i) for i, (foot, _, _) in enumerate(pillars)]
        for _, i in sorted(standing):  # far to near
            if i >= figures:
                foot, left, pillar = pillars[i - figures]
                part = (slice(0, round(foot)), slice(left, left + pillar.shape[1]))
                image[part] = pillar[: round(foot)]
                owner[part] = i
                continue
            part, opacity = placements[i].paste(people[i], image)
            owner[part][opacity > 127] = i
            opaque[i] = placements[i].opaque_pixels(people[i])
        seen = np.bincount(owner[(owner >= 0) & (owner < figures)], minlength=figures)
        boxes = np.array([placement.box(person) for placement, person in zip(placements, people, strict=True)])
        yield Frame(light.apply(image, index / FPS, index), boxes, np.clip(seen / opaque, 0.0, 1.0))


def _path(rng: np.random.Generator) -> _Path:
    left = float(rng.uniform(0.05, 0.3)) * WIDTH
    return _Path(
        left=left,
        right=float(rng.uniform(0.7, 0.95)) * WIDTH,
        start=float(rng.uniform(0, 2)),
        speed=float(rng.uniform(0.5, 1.4)),
        lane=float(rng.uniform(0.6, 0.95)) * HEIGHT,
        drift=float(rng.uniform(0.02, 0.12)) * HEIGHT,
        drift_start=float(rng.uniform(0, 2 * math.pi)),
    )


def _pillars(rng: np.random.Generator) -> list[tuple[float, int, Image]]:
    """Return columns that hide figures behind them: row, left edge, picture."""
    pillars = []
    for i in range(_PILLARS):
        width = int(rng.integers(24, 48))
        left = int((i + rng.uniform(0.25, 0.75)) * WIDTH / _PILLARS) - width // 2
        foot = float(rng.uniform(0.78, 0.96)) * HEIGHT
        pillars.append((foot, left, backdrop(rng, HEIGHT, max(width, 16))))
    return pillars


def detect(rng: np.random.Generator, frame: Frame) -> NDArray[np.float64]:
    """Return detections of a poor detector, (m, 5): x, y, width, height in pixels, score.

    It misses what is hidden and now and then what is not, shifts and scales its boxes, and sees people who are not
    there.
    """
    rows = []
    for box, visibility in zip(frame.boxes, frame.visibility, strict=True):
        if visibility < 0.3 or rng.random() > 0.6 + 0.37 * visibility:
            continue
        size = np.array([box[2] - box[0], box[3] - box[1]])
        spread = 0.03 if visibility > 0.7 else 0.06
        centre = (box[:2] + box[2:]) / 2 + rng.normal(0, spread, 2) * size
        size = size * np.exp(rng.normal(0, spread, 2))
        rows.append([*(centre - size / 2), *size, np.clip(0.4 + 0.5 * visibility + rng.normal(0, 0.08), 0.05, 1.0)])
    for _ in range(int(rng.poisson(0.4))):
        foot = float(rng.uniform(0.56, 0.97)) * HEIGHT
        size = np.array([0.4 * foot * rng.uniform(0.3, 0.5), 0.4 * foot])
        rows.append([rng.uniform(0, WIDTH - size[0]), foot - size[1], *size, rng.uniform(0.2, 0.75)])
    return np.array(rows, np.float64).reshape(-1, 5)


def write_sequence(folder: Path, name: str, seed: int, sequence: int, frames: int, figures: int) -> Path:
    """Render one sequence to `folder`/`name` in MOTChallenge form; returns that folder.

    img1/000001.jpg …, gt/gt.txt (9 columns of MOT16: class 1, flag 1, visibility last; hidden figures included as
    there), det/det.txt (7 columns) and, written last, seqinfo.ini.
    """
    target = folder / name
    images = target / "img1"
    images.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, 4, sequence])
    truth, detections = [], []
    for number, frame in enumerate(render_sequence(seed, sequence, frames, figures), start=1):
        picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(images / f"{number:06d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        for i, (box, visibility) in enumerate(zip(frame.boxes, frame.visibility, strict=True), start=1):
            x1, y1, x2, y2 = box
            truth.append(
                (i, number, f"{number},{i},{x1:.1f},{y1:.1f},{x2 - x1:.1f},{y2 - y1:.1f},1,1,{visibility:.3f}")
            )
        for x, y, w, h, score in detect(noise, frame):
            detections.append(f"{number},-1,{x:.1f},{y:.1f},{w:.1f},{h:.1f},{score:.3f}")
    # As in MOT16 and MOT17, the ground truth is ordered by figure, the detections by frame.
    _write(target / LABELS, [line for *_, line in sorted(truth)])
    _write(target / DETECTIONS, detections)
    _write(
        target / SEQUENCE_INFO,
        [
            "[Sequence]",
            f"name={name}",
            "imDir=img1",
            f"frameRate={FPS}",
            f"seqLength={frames}",
            f"imWidth={WIDTH}",
            f"imHeight={HEIGHT}",
            "imExt=.jpg",
        ],
    )
    return target


def _write(path: Path, lines: list[str]) -> None:
    with committed(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
