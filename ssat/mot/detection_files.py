"""Detections from files of other programs: COCO JSON and Parquet, beside MOTChallenge text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.rows import PEDESTRIAN, MotRows, read_detections

_PEOPLE = ("person", "pedestrian", "people", "human")
_CORNERS, _SIZES = ("x1", "y1", "x2", "y2"), ("left", "top", "width", "height")


def read_any_detections(path: Path, n_frames: int | None = None) -> MotRows:
    """Detections by the ending of the file's name.

    `.json`: a list of COCO results (image_id, category_id, bbox = left top width height, score), or a COCO data set
    with `annotations`, `images` and `categories`. Images are frames in the order of their file names; without
    `images`, image_id is the frame's number. Only people are taken, where the categories say who is one; else
    category 1.
    `.parquet`: columns frame, score, and x1 y1 x2 y2 or left top width height.
    Anything else: MOTChallenge text.

    Raises:
        InputError: no such file, or an entry that does not fit; names file, entry, field and what was expected.
    """
    match path.suffix.lower():
        case ".json":
            return _read_coco(path, n_frames)
        case ".parquet":
            return _read_parquet(path, n_frames)
        case _:
            return read_detections(path, n_frames)


def _read_coco(path: Path, n_frames: int | None) -> MotRows:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such detection file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); expected COCO results") from error
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of COCO results, or an object with `annotations`")
    frame_of = _frames_of_images(path, content) if isinstance(content, dict) else None
    people = _people(content) if isinstance(content, dict) else {1}
    rows = []
    for index, entry in enumerate(entries):
        where = f"{path}, entry {index}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object with image_id, bbox and score")
        if entry.get("category_id", 1) not in people:
            continue
        image = entry.get("image_id")
        frame = image if frame_of is None else frame_of.get(image)
        if frame is None:
            raise InputError(f"{where}: image_id is {image!r}, which is no image of the file")
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise InputError(f"{where}: bbox is {box!r}, expected [left, top, width, height]")
        try:
            rows.append([float(frame), *(float(value) for value in box), float(entry.get("score", 1.0))])
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: image_id, bbox and score must be numbers ({error})") from error
    table = np.array(rows, np.float64).reshape(-1, 6)
    return _rows(path, table, "entry", n_frames)


def _frames_of_images(path: Path, content: Mapping[str, Any]) -> dict[Any, int] | None:
    images = content.get("images")
    if not images:
        return None
    if not isinstance(images, list) or not all(isinstance(one, dict) and "id" in one for one in images):
        raise InputError(f"{path}: images must be a list of objects with an id")
    ordered = sorted(images, key=lambda one: (str(one.get("file_name", "")), str(one["id"]).zfill(12)))
    return {one["id"]: number for number, one in enumerate(ordered, start=1)}


def _people(content: Mapping[str, Any]) -> set[Any]:
    categories = [one for one in content.get("categories") or [] if isinstance(one, dict)]
    named = {one.get("id") for one in categories if str(one.get("name", "")).lower() in _PEOPLE}
    return named or {1}


def _read_parquet(path: Path, n_frames: int | None) -> MotRows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: no such detection file")
    try:
        names = pq.read_schema(path).names
        sides = _CORNERS if set(_CORNERS) <= set(names) else _SIZES
        wanted = ["frame", *sides, *(["score"] if "score" in names else [])]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise InputError(
                f"{path}: no column {', '.join(missing)}; expected frame, score, and x1 y1 x2 y2 or left top width "
                f"height; there are {', '.join(names)}"
            )
        content = pq.read_table(path, columns=wanted, memory_map=False)
        columns = [content[name].cast(pa.float64()).to_numpy() for name in wanted]
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet file of detections ({error})") from error
    if len(columns) == 5:
        columns.append(np.ones(len(content)))
    table = np.column_stack(columns).astype(np.float64, copy=True)
    if sides == _CORNERS:
        table[:, 3:5] -= table[:, 1:3]
    return _rows(path, table, "row", n_frames)


def _rows(path: Path, table: NDArray[np.float64], unit: str, n_frames: int | None) -> MotRows:
    """Rows from frame, left, top, width, height, score (n, 6)."""
    last = np.inf if n_frames is None else n_frames
    frames = table[:, 0]
    for bad, field, column, expected in (
        (~np.isfinite(table).all(axis=1), "a value", 0, "finite numbers"),
        (frames != np.floor(frames), "frame", 0, "a whole number"),
        ((frames < 1) | (frames > last), "frame", 0, f"1 … {last}"),
        (table[:, 3] <= 0, "width", 3, "more than 0"),
        (table[:, 4] <= 0, "height", 4, "more than 0"),
    ):
        if bad.any():
            index = int(bad.argmax())
            raise InputError(f"{path}, {unit} {index}: {field} is {table[index, column]:g}, expected {expected}")
    table = table[frames.argsort(kind="stable")]
    boxes = table[:, 1:5].copy()
    boxes[:, 2:] += boxes[:, :2]
    ids = np.full(len(table), -1, np.int64)
    return MotRows(table[:, 0].astype(np.int64), ids, boxes, table[:, 5].copy(), np.full(len(table), PEDESTRIAN))
