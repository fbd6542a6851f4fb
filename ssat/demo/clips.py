"""The unlabelled clips of the demo: close views of figures in changing light, by a camera that pans and zooms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from ssat.demo.figure import PersonFigure, Placement
from ssat.demo.light import Light
from ssat.demo.texture import Image, backdrop
from ssat.workspace import committed

WIDTH, HEIGHT, FPS = 144, 192, 30
_WORLD = 2.0  # width of the world in view widths, so that the camera can move
_ENCODER = {"preset": "veryfast", "crf": "20", "x264-params": "cpu-independent=1"}  # the same clips on every processor


@dataclass(frozen=True)
class _Walker:
    figure: PersonFigure
    start: float
    speed: float  # view widths per second
    y: float
    height: float

    def placement(self, time_s: float) -> Placement:
        """Return the position on a walk to and fro across the world."""
        way = (self.start + self.speed * time_s) % 2.0
        turned = way > 1.0
        x = ((2.0 - way if turned else way) * (_WORLD - 0.4) + 0.2) * WIDTH
        stride = self.speed * WIDTH * time_s / (0.75 * self.height)
        return Placement(x, self.y, self.height, stride, -1 if turned else 1)


def render_clip(seed: int, clip: int, duration_s: float, places: int) -> Iterator[Image]:
    """Yield the frames (HEIGHT, WIDTH, 3) RGB of one clip.

    Several clips show the same place (`clip % places`) with other people, as cameras on one street would: a network
    that classifies those clips has to use the people.
    """
    rng = np.random.default_rng([seed, 1, clip])
    world = backdrop(np.random.default_rng([seed, 2, clip % places]), HEIGHT * 5 // 4, round(WIDTH * _WORLD))
    walkers = _walkers(rng)
    light = Light.draw(rng, HEIGHT, WIDTH, contrast=float(rng.uniform(0.2, 0.6)), swing=0.3)
    sway, tilt, zoom = rng.uniform(0.1, 0.3), rng.uniform(0.2, 1.0), rng.uniform(0.05, 0.4)
    turns, starts = rng.uniform(0.15, 0.5, 3), rng.uniform(0, 2 * math.pi, 3)
    blur = float(rng.choice([0.0, 0.0, 0.6, 0.9]))
    for index in range(round(duration_s * FPS)):
        time_s = index / FPS
        waves = np.sin(starts + 2 * math.pi * turns * time_s)
        scale = 1.0 + zoom * (0.5 + 0.5 * waves[2])
        # The view's corner in world pixels: it follows the nearest figure, swaying, and stays inside the world.
        room_x, room_y = world.shape[1] - WIDTH / scale, world.shape[0] - HEIGHT / scale
        aim = walkers[-1].placement(time_s).x + sway * WIDTH * waves[0]
        left = min(max(aim - 0.5 * WIDTH / scale, 0.0), room_x)
        top = room_y * (0.5 + 0.5 * tilt * waves[1])
        affine = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]], np.float32)
        frame = np.asarray(cv2.warpAffine(world, affine, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)
        for walker in walkers:
            place = walker.placement(time_s)
            seen = Placement(
                (place.x - left) * scale, (place.y - top) * scale, place.height * scale, place.stride, place.facing
            )
            seen.paste(walker.figure, frame)
        frame = light.apply(frame, time_s, index)
        yield np.asarray(cv2.GaussianBlur(frame, (0, 0), blur), np.uint8) if blur else frame


def _walkers(rng: np.random.Generator) -> list[_Walker]:
    walkers = [
        _Walker(
            figure=PersonFigure.draw(rng),
            start=float(rng.uniform(0, 2)),
            speed=float(rng.uniform(0.15, 0.5)),
            y=float(rng.uniform(1.02, 1.24)) * HEIGHT,
            height=float(rng.uniform(0.9, 1.25)) * HEIGHT,
        )
        for _ in range(1 if rng.random() < 0.7 else 2)
    ]
    return sorted(walkers, key=lambda walker: walker.y)


def write_video(path: Path, frames: Iterable[Image], fps: int) -> int:
    """Encode frames (h, w, 3) RGB with even sides to an H.264 mp4; returns how many there were."""
    count = 0
    with committed(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=_ENCODER)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            if count == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = count, Fraction(1, fps)
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode(None))
    return count
