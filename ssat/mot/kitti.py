"""KITTI tracking, as pedestrian: its folders and its label, detection and result files.

Source: Geiger et al., "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite", 2012, and TrackEval's
reader of it (kitti_2d_box).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ssat.errors import InputError
from ssat.mot.protocols import Rules
from ssat.mot.rows import IGNORE_REGION, MAX_PIXELS, PEDESTRIAN, MotRows, read_detections
from ssat.mot.sequence import PUBLIC, MotSequence, plain_name
from ssat.video.image_files import list_images, read_image
from ssat.video.natural_order import natural_key

FRAME_RATE = 10.0
_SIZE = (1242, 375)  # most of its sequences; taken where there are no images to ask
_COLUMNS = (17, 18)
# Classes of MOTChallenge that mean the same to the evaluation: results on them are neither true nor false positives.
_SITTING, _HARD = 7, 8
_MAX_OCCLUDED, _MAX_TRUNCATED = 2, 0
_Kind = Literal["labels", "results", "detections"]
_FIELDS = ("frame", "track_id", "type", "truncated", "occluded", "alpha", "left", "top", "right", "bottom")


@dataclass(frozen=True)
class KittiSequence(MotSequence):
    """A sequence of KITTI tracking: `folder` holds label_02/NAME.txt, image_02/NAME/000000.png and det_02/NAME.txt.

    Frames are counted from 1 here and in our result files, from 0 in KITTI's own files.
    """

    @classmethod
    def named(cls, folder: Path, name: str) -> KittiSequence:
        """Return the sequence `name` of the folder `training` or `testing`.

        Raises:
            InputError: neither images, labels nor detections of it; or a file that does not fit.
        """
        images = folder / "image_02" / name
        numbered = [path for path in list_images(images) if path.stem.isdecimal()] if images.is_dir() else []
        size = _SIZE
        if numbered:
            height, width = read_image(numbered[0]).shape[:2]
            size, n_frames = (width, height), int(numbered[-1].stem) + 1
        else:
            files = [path for part in ("label_02", "det_02") if (path := folder / part / f"{name}.txt").is_file()]
            n_frames = max((_length(path) for path in files), default=0)
            if not n_frames:
                raise InputError(f"{folder}: sequence {name} has no image in image_02 and no row in label_02 or det_02")
        return cls(
            name=name,
            folder=folder,
            frame_rate=FRAME_RATE,
            n_frames=n_frames,
            width=size[0],
            height=size[1],
            image_folder=images.absolute() if numbered else None,
            image_suffix=numbered[0].suffix if numbered else ".png",
        )

    @property
    def listed_name(self) -> str:
        """The number of the sequence."""
        return self.name

    @property
    def rules(self) -> Rules:
        """KITTI's own."""
        return "kitti"

    def image_path(self, frame: int) -> Path:
        """Return the file of a frame, counted from 1. Raises InputError if the sequence has labels only."""
        return super().image_path(self._image_number(frame))

    def _image_number(self, frame: int) -> int:
        return frame - 1

    def detection_path(self, detections: str = PUBLIC) -> Path:
        """det_02/NAME.txt, or NAME.txt in the folder that `detections` names."""
        part = "det_02" if detections == PUBLIC else plain_name(self.folder, "detections", detections)
        return self.folder / part / f"{self.name}.txt"

    def detections(self, detections: str = PUBLIC) -> MotRows:
        """Return pedestrians in KITTI's form, or MOTChallenge text with frames counted from 1.

        Raises:
            InputError: no such file, or a line that does not fit.
        """
        path = self.detection_path(detections)
        if not path.is_file():
            parts = ", ".join(sorted(p.name for p in self.folder.glob("*") if (p / f"{self.name}.txt").is_file()))
            raise InputError(f"{path}: no such detection file; folders with a {self.name}.txt: {parts or 'none'}")
        if not is_kitti(path):
            return read_detections(path, self.n_frames)
        rows = _read(path, "detections", self.n_frames)
        return MotRows(rows.frames, np.full(len(rows), -1), rows.boxes, rows.scores, rows.classes)

    def ground_truth(self) -> MotRows:
        """Return labels that matter to pedestrians, in terms of MOTChallenge.

        Pedestrian: class 1, flag 1. Pedestrians who are truncated or occluded beyond what KITTI counts, and sitting
        persons: distractors (classes 8 and 7, flag 0). DontCare: `IGNORE_REGION`, identity −1. Nothing else is kept.

        Raises:
            InputError: no labels, a line that does not fit, or an identity twice in a frame.
        """
        path = self.folder / "label_02" / f"{self.name}.txt"
        if not path.is_file():
            raise InputError(f"{path}: no ground truth; sequence {self.name} can be tracked but not scored")
        return _read(path, "labels", self.n_frames)


def kitti_names(folder: Path) -> list[str]:
    """Return the names of the sequences in a folder `training` or `testing` of KITTI; none in other folders."""
    images = {path.name for path in (folder / "image_02").glob("*") if path.is_dir()}
    labels = {path.stem for path in (folder / "label_02").glob("*.txt")}
    names = {name for name in images | labels if not name.startswith(".")}
    return sorted(names, key=natural_key)


def is_kitti(path: Path) -> bool:
    """Return whether a text file is in KITTI's form: the third field of its first row is a word."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            fields = next((line.split() for line in file if line.strip()), [])
    except (OSError, UnicodeDecodeError):
        return False
    return len(fields) > 2 and fields[2].replace("_", "").isalpha() and "," not in fields[2]


def read_kitti_results(path: Path, n_frames: int | None = None) -> MotRows:
    """Return pedestrians of a result file in KITTI's form; frames are counted from 1 in what is given.

    Boxes without extent are kept, as boxes that overlap nothing.

    Raises:
        InputError: a line that does not fit, an identity twice in a frame, or rows of which none is a pedestrian.
    """
    rows = _read(path, "results", n_frames)
    if not len(rows):
        fields = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        if fields:
            types = ", ".join(sorted({row[2] for row in fields}))
            raise InputError(
                f"{path}: none of {len(fields)} rows is a Pedestrian with an identity of 0 or more (types: {types}); "
                "expected results for pedestrians, or an empty file"
            )
    return rows


def _length(path: Path) -> int:
    """Return how many frames the rows of a file span, whatever they show."""
    try:
        fields = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        return max((int(float(row[0])) + 1 for row in fields if row), default=0)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: no frame numbers in its first column ({error}); expected KITTI tracking") from error


def _read(path: Path, kind: _Kind, n_frames: int | None = None) -> MotRows:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({error}); expected KITTI tracking labels") from error
    rows: list[list[float]] = []
    first_line: dict[tuple[int, int], int] = {}
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        where = f"{path}, line {number}"
        if len(fields) not in _COLUMNS:
            raise InputError(f"{where}: {len(fields)} columns, expected 17, or 18 with a score: {line[:80]!r}")
        what = fields[2].lower()
        if what != "pedestrian" and (kind != "labels" or what not in ("person", "person_sitting", "dontcare")):
            continue
        row = _row(where, fields, n_frames, empty_boxes=kind == "results")
        if what == "dontcare":
            rows.append([row[0], -1, *row[4:8], 0, IGNORE_REGION])
            continue
        frame, identity = int(row[0]), int(row[1])
        if kind != "detections":
            if identity < 0:
                continue  # as the official evaluation does
            if (frame, identity) in first_line:
                earlier = first_line[frame, identity]
                raise InputError(f"{where}: track {identity} is in frame {frame - 1} already, at line {earlier}")
            first_line[frame, identity] = number
        hard = kind == "labels" and (row[2] > _MAX_TRUNCATED or row[3] > _MAX_OCCLUDED)
        label = _SITTING if what != "pedestrian" else _HARD if hard else PEDESTRIAN
        flag = float(label == PEDESTRIAN)
        rows.append([frame, identity, *row[4:8], row[8] if len(row) > 8 and kind != "labels" else flag, label])
    table = np.array(rows, np.float64).reshape(-1, 8)
    table = table[table[:, 0].argsort(kind="stable")]
    frames, ids, classes = (table[:, column].astype(np.int64) for column in (0, 1, 7))
    return MotRows(frames, ids, table[:, 2:6].copy(), table[:, 6].copy(), classes, has_classes=True)


def _row(where: str, fields: Sequence[str], n_frames: int | None, empty_boxes: bool) -> list[float]:
    """frame (from 1), track, truncated, occluded, left, top, right, bottom, and the score if there is one."""
    numbers = []
    for index, text in enumerate((*fields[:2], *fields[3:10], *fields[17:])):
        name = _FIELDS[index if index < 2 else index + 1] if index < 9 else "score"
        try:
            value = float(text)
        except ValueError as error:
            raise InputError(f"{where}: {name} is {text!r}, expected a number") from error
        if not abs(value) <= MAX_PIXELS:
            raise InputError(f"{where}: {name} is {text}, expected a finite number, at most {MAX_PIXELS:g}")
        numbers.append(value)
    frame, track, truncated, occluded, _, left, top, right, bottom, *score = numbers
    last = np.inf if n_frames is None else n_frames - 1
    if frame != int(frame) or not 0 <= frame <= last:
        raise InputError(f"{where}: frame is {frame:g}, expected a whole number in 0 … {last:g}")
    if track != int(track):
        raise InputError(f"{where}: track_id is {track:g}, expected a whole number")
    if empty_boxes and (right <= left or bottom <= top):
        right, bottom = left, top
    elif right <= left or bottom <= top:
        box = f"{left:g} {top:g} {right:g} {bottom:g}"
        raise InputError(f"{where}: the box {box} is empty; expected left < right and top < bottom")
    return [frame + 1, track, int(truncated), int(occluded), left, top, right, bottom, *score]
