"""MOTChallenge text files: detections, ground truth and results, one box a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.workspace import committed

_DETECTION_COLUMNS = (7, 8, 9, 10)
_TRUTH_COLUMNS = (9, 10)
_RESULT_COLUMNS = (7, 8, 9, 10)
_CLASS_COLUMN = 7
PEDESTRIAN = 1
IGNORE_REGION = 13  # a region without labels of single people; "crowd" among the classes of MOT20
MAX_PIXELS = 1e9  # beyond it, areas lose the precision that overlaps need
_COLUMN_NAMES = ("frame", "id", "left", "top", "width", "height", "score")


@dataclass(frozen=True)
class MotRows:
    """The boxes of one file, sorted by frame; within a frame in the order of the file.

    Attributes:
        frames: (n,) counted from 1.
        ids: (n,) identities; −1 in detections.
        boxes: (n, 4) x1 y1 x2 y2 in source pixels, x2 = left + width.
        scores: (n,) detector scores; in ground truth the flag, 0 = not to be scored.
        classes: (n,) MOT16/17/20 classes (1 = pedestrian); 1 throughout where the file has none.
        has_classes: the file has a class column.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    has_classes: bool = False

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, frame: int) -> slice:
        """Return where the rows of one frame stand."""
        first, last = np.searchsorted(self.frames, (frame, frame + 1)).tolist()
        return slice(first, last)

    def select(self, which: NDArray[np.bool_] | slice) -> MotRows:
        """Some of the rows, in the same order."""
        return MotRows(
            self.frames[which],
            self.ids[which],
            self.boxes[which],
            self.scores[which],
            self.classes[which],
            self.has_classes,
        )

    def within(self, frames: range) -> MotRows:
        """Return the rows of consecutive frames."""
        first, last = np.searchsorted(self.frames, (frames.start, frames.stop)).tolist()
        return self.select(slice(first, last))


NO_ROWS = MotRows(
    np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), has_classes=True
)


def read_detections(path: Path, n_frames: int | None = None) -> MotRows:
    """Read detections: frame, −1, left, top, width, height, score, and up to three ignored columns.

    Frames may come in any order; the separator may be a comma, a semicolon or white space; empty lines are skipped.

    Args:
        path: the file.
        n_frames: length of the sequence, where it is known.

    Raises:
        InputError: no such file, or a line that does not fit; names file, line, field and what was expected.
    """
    if path.is_dir():
        raise InputError(
            f"{path}: a folder, expected one file of detections; YOLO label folders (a file per frame, class and "
            "relative centre) are not read: write a line per box, frame, -1, left, top, width, height, score in pixels"
        )
    table, lines = _read_table(path, "detection file", _DETECTION_COLUMNS)
    refuse_relative(path, table[:, 2:6])
    _check_boxes(path, table, lines, n_frames)
    return _sorted_rows(table, classes=None)


def read_ground_truth(path: Path, n_frames: int | None = None) -> MotRows:
    """Ground truth: frame, id, left, top, width, height, flag, then class and visibility (9 columns: MOT16 and later)
    or a position in the world (10 columns: MOT15, which has no classes).

    Raises:
        InputError: as for detections; also an identity twice in one frame.
    """
    table, lines = _read_table(path, "ground truth", _TRUTH_COLUMNS)
    _check_boxes(path, table, lines, n_frames)
    _check_ids(path, table, lines)
    classes = None
    if table.shape[1] == _TRUTH_COLUMNS[0]:
        _check_whole(path, table[:, 7], lines, "class")
        classes = table[:, 7]
    return _sorted_rows(table, classes)


def read_results(path: Path, n_frames: int | None = None, *, keep_empty_boxes: bool = False) -> MotRows:
    """Return a tracker's result: frame, id, left, top, width, height, score, and up to three columns.

    A file without any row is a tracker that found nothing. Of the further columns only the eighth is read, as
    TrackEval does: it is −1, or the class 1.

    Args:
        path: the file.
        n_frames: length of the sequence, where it is known.
        keep_empty_boxes: keep boxes whose width or height is not more than 0, as boxes that overlap nothing: the
            official evaluation counts them as false positives. They have no extent in what is given.

    Raises:
        InputError: as for ground truth; also a class other than a person's.
    """
    table, lines = _read_table(path, "result file", _RESULT_COLUMNS)
    if keep_empty_boxes:
        empty = (table[:, 4:6] <= 0).any(axis=1)
        table[empty, 4:6] = 0
    _check_boxes(path, table, lines, n_frames, keep_empty_boxes)
    _check_ids(path, table, lines)
    if table.shape[1] > _CLASS_COLUMN:
        classes = table[:, _CLASS_COLUMN]
        _complain(
            path,
            np.trunc(classes) > PEDESTRIAN,
            classes,
            lines,
            "class",
            "−1 or 1 (pedestrian): only pedestrians are scored; leave the other rows out",
        )
    return _sorted_rows(table, classes=None)


def n_empty_boxes(rows: MotRows) -> int:
    """Return how many boxes have no extent."""
    return int((rows.boxes[:, 2:] <= rows.boxes[:, :2]).any(axis=1).sum())


def write_results(
    path: Path,
    frames: Sequence[int] | NDArray[np.int64],
    ids: Sequence[int] | NDArray[np.int64],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> Path:
    """Write a result file in MOTChallenge form (10 columns, frames from 1), whole or not at all.

    Args:
        boxes: (n, 4) x1 y1 x2 y2 in source pixels.
    """
    with committed(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.writelines(result_lines(frames, ids, boxes, scores))
    return path


def result_lines(
    frames: Sequence[int] | NDArray[np.int64],
    ids: Sequence[int] | NDArray[np.int64],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> Iterator[str]:
    """Yield the lines of a result file, with their ends."""
    left_top, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    for frame, identity, (x, y), (w, h), score in zip(frames, ids, left_top, size, scores, strict=True):
        yield f"{frame},{identity},{x:.3f},{y:.3f},{w:.3f},{h:.3f},{score:.4f},-1,-1,-1\n"


def refuse_relative(path: Path, boxes_N4: NDArray[np.float64]) -> None:
    """Refuse boxes (n, 4) left top width height that are shares of the picture.

    Raises:
        InputError: no box reaches beyond one pixel.
    """
    if len(boxes_N4) and np.abs(boxes_N4).max() <= 1:
        raise InputError(
            f"{path}: all coordinates lie within 0 … 1: shares of the picture, expected pixels; multiply left and "
            "width by the width of the frames, top and height by their height"
        )


def _read_table(path: Path, what: str, allowed: tuple[int, ...]) -> tuple[NDArray[np.float64], Sequence[int]]:
    """Return all numbers of the file (n, columns) and the line number of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such {what}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; expected a {what} in MOTChallenge form") from error
    except OSError as error:
        raise InputError(f"{path}: not a readable {what} ({error.strerror})") from error
    table, lines = _plain_table(text, allowed) or _any_table(path, text, allowed)
    finite = np.isfinite(table[:, :7])
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        raise InputError(
            f"{path}, line {lines[row]}: {_COLUMN_NAMES[column]} is {table[row, column]}, expected a finite number"
        )
    return table, lines


def _plain_table(text: str, allowed: tuple[int, ...]) -> tuple[NDArray[np.float64], Sequence[int]] | None:
    """Return the table of a file as most are: commas and a row in every line. None for any other, faults among them."""
    lines = text.splitlines()
    if not text.strip():
        return None
    try:
        table = np.loadtxt(lines, np.float64, comments=None, delimiter=",", ndmin=2)
    except ValueError:
        return None
    plain = table.shape[1] in allowed and len(table) == len(lines)
    return (table, range(1, len(lines) + 1)) if plain else None


def _any_table(path: Path, text: str, allowed: tuple[int, ...]) -> tuple[NDArray[np.float64], Sequence[int]]:
    """Return the table of a file with any of the separators and with empty lines.

    Raises:
        InputError: names the first line that does not fit.
    """
    rows: list[list[float]] = []
    lines: list[int] = []
    columns = 0
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.replace(";", ",").split(",") if "," in line or ";" in line else line.split()
        if not line.strip():
            continue
        if not rows and not any(_is_number(field) for field in fields):
            raise InputError(
                f"{path}, line {number}: a header line, expected numbers: {line[:80]!r}; delete it. The columns are "
                f"{', '.join(_COLUMN_NAMES)}"
            )
        if len(fields) not in allowed or (columns and len(fields) != columns):
            expected = str(columns) if columns else " or ".join(str(n) for n in allowed)
            raise InputError(f"{path}, line {number}: {len(fields)} columns, expected {expected}: {line[:80]!r}")
        columns = len(fields)
        try:
            rows.append([float(field) for field in fields])
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not a number in {line[:80]!r}") from error
        lines.append(number)
    table = np.array(rows, np.float64) if rows else np.empty((0, max(allowed)), np.float64)
    return table, lines


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_boxes(
    path: Path,
    table: NDArray[np.float64],
    lines: Sequence[int],
    n_frames: int | None,
    empty_boxes: bool = False,
) -> None:
    _check_whole(path, table[:, 0], lines, "frame")
    _check_whole(path, table[:, 1], lines, "id")
    last = math.inf if n_frames is None else n_frames
    allowed = "1 or more" if n_frames is None else f"1 … {n_frames} (seqLength of the sequence)"
    _complain(path, (table[:, 0] < 1) | (table[:, 0] > last), table[:, 0], lines, "frame", allowed)
    for column in (2, 3, 4, 5):
        far = np.abs(table[:, column]) > MAX_PIXELS
        _complain(path, far, table[:, column], lines, _COLUMN_NAMES[column], f"at most {MAX_PIXELS:g} pixels")
    for column in () if empty_boxes else (4, 5):
        _complain(path, table[:, column] <= 0, table[:, column], lines, _COLUMN_NAMES[column], "more than 0")


def _check_whole(path: Path, values: NDArray[np.float64], lines: Sequence[int], field: str) -> None:
    not_whole = ~((values == np.floor(values)) & (np.abs(values) < 2**53))
    _complain(path, not_whole, values, lines, field, "a whole number")


def _check_ids(path: Path, table: NDArray[np.float64], lines: Sequence[int]) -> None:
    order = np.lexsort((table[:, 1], table[:, 0]))
    keys = table[order, :2]
    twice = (keys[1:] == keys[:-1]).all(axis=1)
    if twice.any():
        first, second = sorted(int(row) for row in order[[twice.argmax(), twice.argmax() + 1]])
        frame, identity = (int(value) for value in table[second, :2])
        raise InputError(
            f"{path}, line {lines[second]}: identity {identity} is in frame {frame} already, at line {lines[first]}"
        )


def _complain(
    path: Path, bad: NDArray[np.bool_], values: NDArray[np.float64], lines: Sequence[int], field: str, expected: str
) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{path}, line {lines[row]}: {field} is {values[row]:g}, expected {expected}")


def _sorted_rows(table: NDArray[np.float64], classes: NDArray[np.float64] | None) -> MotRows:
    order = table[:, 0].argsort(kind="stable")
    table = table[order]
    boxes = table[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    return MotRows(
        frames=table[:, 0].astype(np.int64),
        ids=table[:, 1].astype(np.int64),
        boxes=boxes,
        scores=table[:, 6].copy(),
        classes=np.full(len(table), PEDESTRIAN) if classes is None else classes[order].astype(np.int64),
        has_classes=classes is not None,
    )
