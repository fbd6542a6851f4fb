"""Worst moments: the frames in which identities were lost, cut around the person, before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.mot.rows import MotRows
from ssat.mot.switches import Switch
from ssat.video.annotated import identity_colour
from ssat.video.pictures import write_png

Image = NDArray[np.uint8]
_WIDTH, _HEIGHT, _CAPTION, _GAP = 220, 260, 34, 8
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def worst_switches(switches: Sequence[Switch], most: int = 6) -> list[Switch]:
    """Return those that cost most: changes between the longest stretches, in order of the frames."""
    chosen = sorted(switches, key=lambda switch: (-switch.weight, switch.frame))[:most]
    return sorted(chosen, key=lambda switch: (switch.frame, switch.truth))


def moments_picture(
    switches: Sequence[Switch], truth: MotRows, results: MotRows, image_of: Callable[[int], Image], path: Path
) -> Path:
    """Return a PNG with a pair of pictures per switch: the person when last found, and under the new identity.

    The labelled person is drawn thin and white; every result near by in the colour of its identity, with its number.

    Args:
        switches: which, at least one.
        truth, results: of the sequence; they give the boxes.
        image_of: frame → (H, W, 3) RGB.
    """
    pairs = []
    for switch in switches:
        panels = [
            _panel(frame, switch.truth, identity, truth, results, image_of(frame))
            for frame, identity in ((switch.seen, switch.before), (switch.frame, switch.after))
        ]
        pairs.append(np.concatenate([panels[0], np.full((_HEIGHT + _CAPTION, 2, 3), 255, np.uint8), panels[1]], axis=1))
    height, width = pairs[0].shape[:2]
    columns = 2 if len(pairs) > 1 else 1
    rows = -(-len(pairs) // columns)
    sheet = np.full((rows * (height + _GAP), columns * (width + _GAP), 3), 255, np.uint8)
    for n, pair in enumerate(pairs):
        top, left = n // columns * (height + _GAP), n % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = pair
    return write_png(sheet, path)


def _panel(frame: int, person: int, identity: int, truth: MotRows, results: MotRows, image: Image) -> Image:
    height, width = image.shape[:2]
    at = truth.at(frame)
    box = truth.boxes[at][truth.ids[at] == person][0]
    # As much of the frame as shows the neighbours, in the shape of the panel.
    half_height = 0.8 * max(box[3] - box[1], (box[2] - box[0]) * _HEIGHT / _WIDTH, 16.0)
    half = np.array([half_height * _WIDTH / _HEIGHT, half_height])
    middle = (box[:2] + box[2:]) / 2
    low = np.floor(np.clip(middle - half, 0, [width - 2, height - 2])).astype(int)
    high = np.ceil(np.clip(middle + half, low + 2, [width, height])).astype(int)
    scale = min(_WIDTH / (high[0] - low[0]), _HEIGHT / (high[1] - low[1]))
    size = (max(1, int((high[0] - low[0]) * scale)), max(1, int((high[1] - low[1]) * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(image[low[1] : high[1], low[0] : high[0]], size, interpolation=method)
    part: Image = shown.astype(np.uint8, copy=False)
    at = results.at(frame)
    for number, other in zip(results.ids[at].tolist(), results.boxes[at], strict=True):
        if (other[:2] < high).all() and (other[2:] > low).all():
            _draw(
                part,
                (other.reshape(2, 2) - low) * scale,
                identity_colour(number),
                3 if number == identity else 1,
                number,
            )
    _draw(part, (box.reshape(2, 2) - low) * scale, (255, 255, 255), 1, None)
    canvas = np.full((_HEIGHT + _CAPTION, _WIDTH, 3), 255, np.uint8)
    canvas[_CAPTION : _CAPTION + part.shape[0], : part.shape[1]] = part
    cv2.putText(canvas, f"frame {frame}", (4, 14), _FONT, 0.42, (31, 41, 51), 1, cv2.LINE_AA)
    cv2.putText(canvas, f"person {person} is {identity}", (4, 29), _FONT, 0.42, (31, 41, 51), 1, cv2.LINE_AA)
    return canvas


def _draw(
    part: Image, corners_22: NDArray[np.float64], colour: tuple[int, int, int], stroke: int, number: int | None
) -> None:
    (x1, y1), (x2, y2) = np.clip(corners_22, -9999, 9999).astype(int).tolist()
    cv2.rectangle(part, (x1, y1), (x2, y2), colour, stroke, cv2.LINE_AA)
    if number is not None:
        place = (max(2, x1 + 3), min(max(12, y1 + 13), part.shape[0] - 3))
        cv2.putText(part, str(number), place, _FONT, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(part, str(number), place, _FONT, 0.42, colour, 1, cv2.LINE_AA)
