"""COCO-video: the tracks of several videos in one JSON file.

`videos` have id and name (or file_name), `images` id, video_id and frame_id, `annotations` image_id, bbox (left, top,
width, height), category_id and instance_id or track_id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.errors import InputError
from ssat.mot.video_labels import LabelledBox, VideoLabels, labels_of, labels_of_people

_EXPECTED = "expected COCO-video with videos, images and annotations"
_IDENTITIES = ("instance_id", "track_id")


def read_coco_video(path: Path) -> dict[str, VideoLabels] | None:
    """Return the labels of each video by its name without ending; None of JSON without `videos`.

    Frames count from 0 where any frame_id of the file is 0, else from 1. Boxes with iscrowd or ignore are not scored.

    Raises:
        InputError: no such file, no JSON, or an entry that does not fit; names file and entry.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); {_EXPECTED}") from error
    if not isinstance(content, dict) or "videos" not in content:
        return None
    names = {
        _field(path, "videos", index, video, "id"): _name(path, index, video)
        for index, video in _entries(path, content, "videos")
    }
    if len(set(names.values())) < len(names):
        raise InputError(f"{path}: two videos have one name; expected a name of its own for each")
    frames, lengths = _frames(path, content, names)
    boxes = _boxes(path, content, frames)
    return {name: labels_of(path, boxes.get(video, []), n_frames=lengths.get(video)) for video, name in names.items()}


def _frames(
    path: Path, content: Mapping[str, Any], names: Mapping[Any, str]
) -> tuple[dict[Any, tuple[Any, int]], dict[Any, int]]:
    """Return image → (video, frame from 0), and the number of frames of each video."""
    frames: dict[Any, tuple[Any, int]] = {}
    for index, image in _entries(path, content, "images"):
        video, frame = (_field(path, "images", index, image, field) for field in ("video_id", "frame_id"))
        if video not in names:
            raise InputError(f"{path}, images entry {index}: video_id is {video!r}, expected the id of one of `videos`")
        if type(frame) is not int or frame < 0:
            raise InputError(f"{path}, images entry {index}: frame_id is {frame!r}, expected a whole number from 0")
        frames[_field(path, "images", index, image, "id")] = (video, frame)
    shift = 0 if any(frame == 0 for _, frame in frames.values()) else 1
    frames = {image: (video, frame - shift) for image, (video, frame) in frames.items()}
    lengths: dict[Any, int] = {}
    for video, frame in frames.values():
        lengths[video] = max(lengths.get(video, 0), frame + 1)
    return frames, lengths


def _boxes(
    path: Path, content: Mapping[str, Any], frames: Mapping[Any, tuple[Any, int]]
) -> dict[Any, list[LabelledBox]]:
    """Return video → its boxes of people."""
    entries = _entries(path, content, "annotations")
    categories = {
        category.get("id"): str(category.get("name", ""))
        for category in content.get("categories") or []
        if isinstance(category, dict)
    }
    classes = {index: categories.get(entry.get("category_id"), "") for index, entry in entries}
    chosen = labels_of_people(path, categories.values() if categories else classes.values())
    boxes: dict[Any, list[LabelledBox]] = {}
    for index, entry in entries:
        if classes[index] not in chosen:
            continue
        where = f"{path}, annotations entry {index}"
        image = _field(path, "annotations", index, entry, "image_id")
        if image not in frames:
            raise InputError(f"{where}: image_id is {image!r}, expected the id of one of `images`")
        identity = next((entry[field] for field in _IDENTITIES if field in entry), None)
        if type(identity) is not int or identity < 0:
            raise InputError(f"{where}: instance_id or track_id is {identity!r}, expected a whole number from 0")
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(type(value) in (int, float) for value in box):
            raise InputError(f"{where}: bbox is {box!r}, expected [left, top, width, height]")
        left, top, width, height = map(float, box)
        video, frame = frames[image]
        flag = 0.0 if entry.get("iscrowd") or entry.get("ignore") else 1.0
        boxes.setdefault(video, []).append((frame, identity, left, top, left + width, top + height, flag))
    return boxes


def _entries(path: Path, content: Mapping[str, Any], part: str) -> Sequence[tuple[int, Mapping[str, Any]]]:
    entries = content.get(part)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: {part} is no list of objects; {_EXPECTED}")
    return list(enumerate(entries))


def _field(path: Path, part: str, index: int, entry: Mapping[str, Any], field: str) -> Any:
    value = entry.get(field)
    if type(value) not in (int, str):
        raise InputError(f"{path}, {part} entry {index}: {field} is {value!r}, expected a number or a text")
    return value


def _name(path: Path, index: int, video: Mapping[str, Any]) -> str:
    name = video.get("name", video.get("file_name"))
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}, videos entry {index}: name is {name!r}, expected the name of the video's file")
    # Some writers name the folder of the frames, or the path of the video.
    return _without_ending(PurePosixPath(name.replace("\\", "/")).name)


def _without_ending(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name
