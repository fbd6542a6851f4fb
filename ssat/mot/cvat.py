"""CVAT for video 1.1: the boxes of the tracks of one video.

Source: the XML annotation format of CVAT's documentation, mode "interpolation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from ssat.errors import InputError
from ssat.mot.video_labels import LabelledBox, VideoLabels, labels_of, labels_of_people

_SIDES = ("xtl", "ytl", "xbr", "ybr")
_META = ("size", "start_frame", "stop_frame", "frame_filter")
_EXPECTED = "expected CVAT for video 1.1"


def read_cvat(path: Path) -> VideoLabels:
    """Return the boxes of all tracks of people in a CVAT file.

    Boxes with outside="1" end a stretch and are not kept. Between two boxes of a track the box moves linearly, as CVAT
    shows it: a file may have key frames alone. Other shapes than boxes are not read.

    Raises:
        InputError: no such file, no CVAT for video, a document type declaration, or a field that does not fit; names
            file and line.
    """
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file of labels; {_EXPECTED}") from error
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror}); {_EXPECTED}") from error
    except (expat.ExpatError, ValueError) as error:
        raise InputError(f"{path}: not well-formed XML ({error}); {_EXPECTED}") from error
    return reader.labels()


class _Reader:
    """Collects what the parser meets; nothing is kept but numbers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: list[str] = []  # names of the elements around
        self._text = ""
        self._meta: dict[str, str] = {}
        self._tracks: list[tuple[str, int, dict[int, tuple[bool, tuple[float, ...]]]]] = []
        self._n_images = 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        # Entities can expand to gigabytes or name other files; without a declaration there are none.
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

    def labels(self) -> VideoLabels:
        """What was read, checked."""
        if not self._tracks and self._n_images:
            raise InputError(f"{self._path}: CVAT for images, without tracks; {_EXPECTED}. Export it in that format")
        chosen = labels_of_people(self._path, (label for label, _, _ in self._tracks))
        first, step = self._number("start_frame", 0), self._step()
        size = self._number("size", 0)
        if "stop_frame" in self._meta:
            size = (self._number("stop_frame", 0) - first) // step + 1
        boxes: list[LabelledBox] = []
        for label, identity, shapes in self._tracks:
            if label in chosen:
                boxes += ((frame, identity, *box, 1.0) for frame, box in _filled(shapes))  # type: ignore[misc]
        return labels_of(self._path, boxes, first=first, step=step, n_frames=size if size > 0 else None)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if not self._open and name != "annotations":
            raise InputError(f"{self._path}: root element {name!r}; {_EXPECTED}, whose root is 'annotations'")
        if self._open == ["annotations", "meta"] and name == "project":
            raise InputError(f"{self._path}: export of a project, whose videos share one file; export each task")
        if self._open == ["annotations"]:
            self._n_images += name == "image"
            if name == "track":
                self._tracks.append((attributes.get("label", ""), self._whole(attributes, "id"), {}))
        elif self._open == ["annotations", "track"] and name == "box":
            frame = self._whole(attributes, "frame")
            box = tuple(self._float(attributes, side) for side in _SIDES)
            shapes = self._tracks[-1][2]
            if frame in shapes:
                raise InputError(f"{self._where()}: track {self._tracks[-1][1]} has two boxes in frame {frame}")
            shapes[frame] = (attributes.get("outside", "0") == "1", box)
        self._open.append(name)
        self._text = ""

    def _end(self, name: str) -> None:
        self._open.pop()
        # <meta><task> or, of a part of a task, <meta><job>.
        if self._open[:2] == ["annotations", "meta"] and len(self._open) == 3 and name in _META and self._text.strip():
            self._meta.setdefault(name, self._text.strip())

    def _characters(self, text: str) -> None:
        if self._open and self._open[-1] in _META and len(self._text) < 100:
            self._text += text

    def _refuse_doctype(self, *_: object) -> None:
        raise InputError(f"{self._where()}: a document type declaration is refused; {_EXPECTED}, which has none")

    def _where(self) -> str:
        return f"{self._path}, line {self.parser.CurrentLineNumber}"

    def _number(self, field: str, default: int) -> int:
        text = self._meta.get(field, str(default))
        if not (text.isascii() and text.isdecimal()):
            raise InputError(f"{self._path}: {field} is {text!r}, expected a whole number from 0")
        return int(text)

    def _step(self) -> int:
        text = self._meta.get("frame_filter", "")
        match = re.fullmatch(r"step\s*=\s*([1-9]\d{0,5})", text)
        if text and match is None:
            raise InputError(f"{self._path}: frame_filter is {text!r}, expected step=N")
        return int(match[1]) if match else 1

    def _whole(self, attributes: Mapping[str, str], field: str) -> int:
        text = attributes.get(field)
        if text is None or not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise InputError(f"{self._where()}: {field} is {text!r}, expected a whole number from 0")
        return int(text)

    def _float(self, attributes: Mapping[str, str], field: str) -> float:
        text = attributes.get(field)
        try:
            return float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._where()}: {field} is {text!r}, expected a number of pixels") from error


def _filled(
    shapes: Mapping[int, tuple[bool, tuple[float, ...]]],
) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Yield frame and box of a track wherever it is inside, also between the boxes of the file."""
    frames = sorted(shapes)
    for frame, following in zip(frames, [*frames[1:], None], strict=True):
        outside, box = shapes[frame]
        if outside:
            continue
        yield frame, box
        if following is None:
            continue
        ends, target = shapes[following]
        for between in range(frame + 1, following):
            share = 0.0 if ends else (between - frame) / (following - frame)
            yield between, tuple(a + share * (b - a) for a, b in zip(box, target, strict=True))
