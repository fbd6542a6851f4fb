"""The files of an explanation: its text, and a picture of the decisive frames around the identity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.tracking.explain import ComparedItem, Explainer, Moment
from ssat.video.annotated import identity_colour
from ssat.video.pictures import write_png
from ssat.workspace import committed

_WIDTH, _HEIGHT, _CAPTION = 640, 400, 22
_MAX_PANELS = 6  # frames: the first ones and the last
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_explanation(explainer: Explainer, folder: Path, name: str) -> list[Path]:
    """Write NAME.explain-ID.txt and, where there are frames, NAME.explain-ID.png. Returns their paths.

    Raises:
        InputError: the identity never occurred.
    """
    stem = f"{name}.explain-{explainer.identity}"
    text = explainer.text()
    files = [folder / f"{stem}.txt"]
    with committed(files[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
    pictured = [moment for moment in explainer.moments if moment.image is not None]
    if pictured:
        files.append(explained_picture(explainer.identity, pictured, folder / f"{stem}.png"))
    return files


def explained_picture(identity: int, moments: Sequence[Moment], path: Path) -> Path:
    """Write the picture and return `path`. The identity is drawn thick, candidates thin with their cost."""
    if len(moments) > _MAX_PANELS:
        moments = [*moments[: _MAX_PANELS - 1], moments[-1]]
    panels = [_panel(identity, moment) for moment in moments]
    return write_png(np.concatenate(panels, axis=0), path)


def _panel(identity: int, moment: Moment) -> NDArray[np.uint8]:
    assert moment.image is not None  # noqa: S101 - chosen so; for the type checker
    boxes = np.array([moment.box, *(candidate.box for candidate in moment.candidates)])
    part, shift, scale = _cut(moment.image, boxes)
    colour = identity_colour(identity)
    for candidate in moment.candidates:
        _draw(part, candidate.box, shift, scale, (235, 235, 235), 1, _label(candidate))
    _draw(part, moment.box, shift, scale, colour, 3, f"{identity}")
    canvas = np.full((_HEIGHT + _CAPTION, _WIDTH, 3), 255, np.uint8)
    canvas[_CAPTION : _CAPTION + part.shape[0], : part.shape[1]] = part
    text = f"frame {moment.frame}: {moment.text}".encode("ascii", "replace").decode()
    cv2.putText(canvas, text[:100], (4, 15), _FONT, 0.38, (31, 41, 51), 1, cv2.LINE_AA)
    return canvas


def _label(candidate: ComparedItem) -> str:
    who = candidate.name.split(" (")[0].replace("detection of identity ", "").replace("track ", "")
    who = "?" if who.startswith("detection") or who.startswith("the ") else who
    return f"{who}: {candidate.cost:.2f}"


def _cut(
    image: NDArray[np.uint8], boxes_N4: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """Return the part of the frame around the boxes at the panel's size, with its shift and scale."""
    height, width = image.shape[:2]
    low, high = boxes_N4[:, :2].min(axis=0), boxes_N4[:, 2:].max(axis=0)
    margin = 0.3 * (high - low).max() + 20
    left, top = np.clip(np.floor(low - margin), 0, [width - 2, height - 2]).astype(int)
    right, bottom = np.clip(np.ceil(high + margin), [left + 2, top + 2], [width, height]).astype(int)
    scale = min(_WIDTH / (right - left), _HEIGHT / (bottom - top))
    size = (max(1, int((right - left) * scale)), max(1, int((bottom - top) * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.resize(image[top:bottom, left:right], size, interpolation=method)
    return part.astype(np.uint8, copy=False), np.array([left, top, left, top], np.float64), scale


def _draw(
    part: NDArray[np.uint8],
    box: NDArray[np.float64],
    shift: NDArray[np.float64],
    scale: float,
    colour: tuple[int, int, int],
    stroke: int,
    label: str,
) -> None:
    x1, y1, x2, y2 = np.clip((box - shift) * scale, -9999, 9999).astype(int).tolist()
    cv2.rectangle(part, (x1, y1), (x2, y2), colour, stroke, cv2.LINE_AA)
    place = (max(2, x1 + 3), min(max(14, y1 + 14), part.shape[0] - 4))
    (width, height), _ = cv2.getTextSize(label, _FONT, 0.45, 1)
    cv2.rectangle(
        part, (place[0] - 2, place[1] - height - 3), (place[0] + width + 2, place[1] + 4), (0, 0, 0), cv2.FILLED
    )
    cv2.putText(part, label, place, _FONT, 0.45, colour, 1, cv2.LINE_AA)
