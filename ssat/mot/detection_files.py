"""Detections from files of other programs: COCO JSON and Parquet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.rows import PEDESTRIAN, MotRows, read_detections, refuse_relative
from ssat.video.natural_order import numbers_in

PEOPLE = ("person", "pedestrian", "people", "human")
_PERSON = 1  # of COCO
_CORNERS, _SIZES = ("x1", "y1", "x2", "y2"), ("left", "top", "width", "height")


@dataclass(frozen=True)
class FoundDetections:
    """Detections of a file, and what it holds beside them.

    Attributes:
        left_out: category → number of its entries, none of which is among `rows`.
    """

    rows: MotRows
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Summary of the skipped entries."""
        if not self.left_out:
            return ()
        named = ", ".join(f"{count} {name}" for name, count in self.left_out.items())
        return (f"{sum(self.left_out.values())} detections of other classes were left out: {named}",)


def read_any_detections(path: Path, n_frames: int | None = None, classes: Sequence[str] = ()) -> FoundDetections:
    """Return detections by the ending of the file's name.

    `.json`: a list of COCO results (image_id, category_id, bbox = left top width height, score), or a COCO data set
    with `annotations`, `images` and `categories`. An image is the frame that its `frame_id` says (from 0 or 1), else
    the number that every file name carries, else they are frames in the order of the list; without `images`, image_id
    is the frame's number. Only people are taken, or the categories that `classes` names; without `categories` these
    are numbers, and people are 1.
    `.parquet`: columns frame, score, and x1 y1 x2 y2 or left top width height.
    Anything else: MOTChallenge text.

    Args:
        path: the file.
        n_frames: length of the footage, where it is known.
        classes: names of categories; only of `.json`.

    Raises:
        InputError: no such file, no category of people, or an entry that does not fit; names file, entry, field and
            what was expected.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _read_coco(path, n_frames, classes)
    if classes:
        raise InputError(f"{path}: has no categories, of which {', '.join(classes)} could be taken; expected COCO JSON")
    return FoundDetections(_read_parquet(path, n_frames) if suffix == ".parquet" else read_detections(path, n_frames))


def _read_coco(path: Path, n_frames: int | None, classes: Sequence[str]) -> FoundDetections:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such detection file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); expected COCO results") from error
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of COCO results, or an object with `annotations`")
    frame_of = _frames_of_images(path, content, n_frames) if isinstance(content, dict) else None
    names = _category_names(content) if isinstance(content, dict) else {}
    taken = _taken(path, names, entries, classes)
    rows = []
    left_out: Counter[str] = Counter()
    for index, entry in enumerate(entries):
        where = f"{path}, entry {index}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object with image_id, bbox and score")
        category = entry.get("category_id", _PERSON)
        if category not in taken:
            left_out[names.get(category, f"category {category}")] += 1
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
    refuse_relative(path, table[:, 1:5])
    return FoundDetections(_rows(path, table, "entry", n_frames), dict(left_out))


def _frames_of_images(path: Path, content: Mapping[str, Any], n_frames: int | None) -> dict[Any, int] | None:
    images = content.get("images")
    if not images:
        return None
    if not isinstance(images, list) or not all(isinstance(image, dict) and "id" in image for image in images):
        raise InputError(f"{path}: images must be a list of objects with an id")
    identities = [image["id"] for image in images]
    if len(set(map(str, identities))) < len(identities):
        raise InputError(f"{path}: two images have one id; expected an id of its own for every image")
    frame_ids = [image.get("frame_id") for image in images]
    numbers: Sequence[int] | None = None
    if all(isinstance(number, int) and not isinstance(number, bool) for number in frame_ids):
        if len(set(frame_ids)) < len(frame_ids):
            raise InputError(f"{path}: two images have one frame_id; expected the images of one video")
        numbers = frame_ids
    else:
        numbers = numbers_in([str(image.get("file_name", "")) for image in images])
    if numbers is None:
        numbers = range(1, len(images) + 1)
    shift = 1 if min(numbers) == 0 else 0
    if n_frames is not None and max(numbers) + shift > n_frames:
        # Numbers in names may continue from another video: only their order is used.
        rank = {number: at for at, number in enumerate(sorted(numbers), start=1)}
        return {identity: rank[number] for identity, number in zip(identities, numbers, strict=True)}
    return {identity: number + shift for identity, number in zip(identities, numbers, strict=True)}


def _category_names(content: Mapping[str, Any]) -> dict[Any, str]:
    categories = [category for category in content.get("categories") or [] if isinstance(category, dict)]
    return {category.get("id"): str(category.get("name", "")) for category in categories}


def _taken(path: Path, names: Mapping[Any, str], entries: Sequence[Any], classes: Sequence[str]) -> set[Any]:
    """Return the categories that are read.

    Raises:
        InputError: none of the file's, with those that there are.
    """
    wanted = {name.strip().lower() for name in classes}
    present = {entry.get("category_id", _PERSON) for entry in entries if isinstance(entry, dict)}
    if names:
        chosen = wanted or set(PEOPLE)
        taken = {number for number, name in names.items() if name.lower() in chosen}
        shown = ", ".join(f"{name!r}" for name in names.values())
        missing = sorted(wanted - {name.lower() for name in names.values()})
    else:
        taken = {number for number in present if str(number) in (wanted or {str(_PERSON)})}
        shown = ", ".join(sorted(f"{number}" for number in present))
        missing = sorted(wanted - {str(number) for number in present})
    if missing:
        raise InputError(f"{path}: no category {', '.join(missing)}; there are {shown}")
    if present and not taken:
        raise InputError(
            f"{path}: no category of people; there are {shown}. Name those to be tracked with setting `classes` NAME,…"
        )
    return taken


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
    refuse_relative(path, table[:, 1:5])
    return _rows(path, table, "row", n_frames)


def _rows(path: Path, table: NDArray[np.float64], unit: str, n_frames: int | None) -> MotRows:
    """Return rows from frame, left, top, width, height, score (n, 6)."""
    last = np.inf if n_frames is None else n_frames
    frames = table[:, 0]
    for bad, named, column, expected in (
        (~np.isfinite(table).all(axis=1), "a value", 0, "finite numbers"),
        (frames != np.floor(frames), "frame", 0, "a whole number"),
        ((frames < 1) | (frames > last), "frame", 0, f"1 … {last}"),
        (table[:, 3] <= 0, "width", 3, "more than 0"),
        (table[:, 4] <= 0, "height", 4, "more than 0"),
    ):
        if bad.any():
            index = int(bad.argmax())
            raise InputError(f"{path}, {unit} {index}: {named} is {table[index, column]:g}, expected {expected}")
    table = table[frames.argsort(kind="stable")]
    boxes = table[:, 1:5].copy()
    boxes[:, 2:] += boxes[:, :2]
    ids = np.full(len(table), -1, np.int64)
    return MotRows(table[:, 0].astype(np.int64), ids, boxes, table[:, 5].copy(), np.full(len(table), PEDESTRIAN))
