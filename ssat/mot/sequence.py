"""A MOTChallenge sequence: a folder with seqinfo.ini, det/, gt/ and img1/."""

from __future__ import annotations

import configparser
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ssat.errors import InputError
from ssat.file_names import LABELS, SEQUENCE_INFO
from ssat.mot.protocols import Rules
from ssat.mot.rows import MotRows, read_detections, read_ground_truth
from ssat.video.image_files import image_digest, list_images
from ssat.video.natural_order import numbers_in

if TYPE_CHECKING:
    from ssat.video.sources import FrameSource

PUBLIC = "public"
PUBLIC_DETECTORS = ("DPM", "FRCNN", "SDP")  # of MOT17
_MAX_FRAMES = 10_000_000
_MAX_PIXELS = 65_500


@dataclass(frozen=True)
class MotSequence:
    """A sequence: the facts of seqinfo.ini, and the paths of its files.

    Attributes:
        frame_rate: frames a second; 0 if seqinfo.ini does not say and need not.
        width: of the frames, in pixels; 0 as above.
        height: likewise.
        image_folder: the folder of the frames; None if there are labels only.
        image_suffix: such as ".jpg".
    """

    name: str
    folder: Path
    frame_rate: float
    n_frames: int
    width: int
    height: int
    image_folder: Path | None
    image_suffix: str

    @classmethod
    def open(cls, folder: Path, *, only_to_score: bool = False) -> MotSequence:
        """Return the sequence in `folder`.

        Args:
            folder: holds seqinfo.ini.
            only_to_score: frame rate and size of the frames may be missing.

        Raises:
            InputError: no seqinfo.ini, or a field that is missing or does not fit; names it.
        """
        path = folder / SEQUENCE_INFO
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise InputError(f"{folder}: no seqinfo.ini; expected a MOTChallenge sequence") from error
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            raise InputError(f"{path}: not a readable seqinfo.ini ({error})") from error
        if "Sequence" not in parser:
            raise InputError(f"{path}: no section [Sequence]")
        section = parser["Sequence"]
        image_dir = section.get("imDir", "").strip().removeprefix("./").rstrip("/\\") or "img1"
        image_folder = (folder / plain_name(path, "imDir", image_dir)).absolute()
        suffix = plain_name(path, "imExt", section.get("imExt", "").strip() or ".jpg")
        name = section.get("name", "").strip() or folder.resolve().name
        return cls(
            # The name becomes the name of result files.
            name=plain_name(path, "name", name),
            folder=folder,
            frame_rate=_number(path, section, "frameRate", 0.01, 10_000, optional=only_to_score),
            n_frames=int(_number(path, section, "seqLength", 1, _MAX_FRAMES, whole=True)),
            width=int(_number(path, section, "imWidth", 1, _MAX_PIXELS, whole=True, optional=only_to_score)),
            height=int(_number(path, section, "imHeight", 1, _MAX_PIXELS, whole=True, optional=only_to_score)),
            image_folder=image_folder if image_folder.is_dir() else None,
            image_suffix=suffix if suffix.startswith(".") else f".{suffix}",
        )

    @property
    def rules(self) -> Rules:
        """Rules that the data set adds to the protocol `motchallenge`."""
        return "mot20" if self.name.startswith("MOT20") else "mot"

    @property
    def listed_name(self) -> str:
        """The name by which `find_sequences` selects the sequence: its folder's."""
        return self.folder.resolve().name

    @property
    def has_frames(self) -> bool:
        """Whether there are frames beside the labels."""
        return self.image_folder is not None

    def frame_source(self, numbers: Sequence[int], frame_rate: float | None = None) -> FrameSource:
        """Return the frames of those numbers, in that order.

        Args:
            frame_rate: instead of the sequence's own.
        """
        from ssat.video.sources import ImageSource

        paths = [self.image_path(number) for number in numbers]
        return ImageSource(self.name, frame_rate or self.frame_rate, paths, numbers, (self.width, self.height))

    def frame_file(self, frame: int) -> Path:
        """Return the file that holds a frame."""
        return self.image_path(frame)

    def frame_digest(self, frame: int) -> str:
        """Return a SHA-256 of the picture of a frame."""
        return image_digest(self.image_path(frame))

    def image_path(self, frame: int) -> Path:
        """Return the file of a frame, counted from 1: the image whose name carries that number, whatever its padding.

        Raises:
            InputError: the sequence has labels only, or two images have one number.
        """
        return self._images() / self._image_names.get(frame, f"{frame:06d}{self.image_suffix}")

    @cached_property
    def _image_names(self) -> dict[int, str]:
        """Number → name of the images with the sequence's suffix."""
        suffix = self.image_suffix.lower()
        names = [path.name for path in list_images(self._images()) if path.suffix.lower() == suffix]
        plain: dict[int, str] = {}
        for name in names:
            stem = name[: -len(suffix)]
            if not (stem.isascii() and stem.isdigit()):
                continue
            if (number := int(stem)) in plain:
                raise InputError(
                    f"{self._images()}: {plain[number]} and {name} have the same number, expected one image a frame; "
                    "remove one of them"
                )
            plain[number] = name
        if plain:
            return plain
        # Such as frame_0001.jpg.
        return dict(zip(numbers_in(names) or (), names, strict=False))

    def check_images(self, frames: range) -> None:
        """Raise InputError naming the first frames that are missing."""
        folder = self._images()
        numbers = [self._image_number(frame) for frame in frames]
        missing = [number for number in numbers if number not in self._image_names]
        if not missing:
            return
        width = len(next(iter(self._image_names.values()), "0" * 6 + self.image_suffix)) - len(self.image_suffix)
        named = ", ".join(f"{number:0{width}d}{self.image_suffix}" for number in missing[:3])
        named += " …" if missing[3:] else ""
        raise InputError(
            f"{folder}: {len(missing)} of {len(frames)} frames are missing ({named}); "
            f"seqinfo.ini promises {self.n_frames}{self._hint()}"
        )

    def _image_number(self, frame: int) -> int:
        """Return the number that the image of a frame carries."""
        return frame

    def _hint(self) -> str:
        """Return why images may be missing."""
        images = list_images(self._images())
        others = sorted({path.suffix for path in images if path.suffix.lower() != self.image_suffix.lower()})
        if not self._image_names and others:
            return f". The folder holds {', '.join(others)} files: correct imExt in seqinfo.ini"
        if not self._image_names and images:
            return ". The names of the images carry no single number that tells the frame: rename them to 000001 …"
        if 0 in self._image_names and self._image_number(1) == 1:
            return ". The images are numbered from 0, expected from 1: rename them, beginning with the last"
        return ""

    def detection_path(self, detections: str = PUBLIC) -> Path:
        """Return the file of the public detections, or the one named `detections`, in the det folder."""
        name = "det.txt" if detections == PUBLIC else plain_name(self.folder / "det", "detections", detections)
        return self.folder / "det" / name

    def detections(self, detections: str = PUBLIC) -> MotRows:
        """Return the detections of the whole sequence. Raises InputError as `read_detections` does."""
        path = self.detection_path(detections)
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in path.parent.glob("*.txt"))) or "none"
            raise InputError(f"{path}: no such detection file; in that folder: {there}")
        return read_detections(path, self.n_frames)

    def ground_truth(self) -> MotRows:
        """Return the labels of the whole sequence. Raises InputError as `read_ground_truth` does."""
        path = self.folder / LABELS
        if not path.is_file():
            raise InputError(f"{path}: no ground truth; sequence {self.name} can be tracked but not scored")
        return read_ground_truth(path, self.n_frames)

    @property
    def no_frames(self) -> str:
        """Say why there are no frames, where `image_folder` is None."""
        if (self.folder / "img1").is_file():  # what an archive or a checkout without links leaves
            return "img1 is a file; expected the folder of frames. If it was a link, make it one again"
        return "no folder of frames (img1)"

    def _images(self) -> Path:
        if self.image_folder is None:
            raise InputError(f"{self.folder}: {self.no_frames}; appearance needs the frames, the tracker box does not")
        return self.image_folder


def by_public_detector(names: Iterable[str]) -> dict[str, list[str]]:
    """MOT17 has every video three times, with other public detections: detector → names of its sequences.

    Empty if there is only one detector.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        detector = name.rpartition("-")[2]
        if name.startswith("MOT17-") and detector in PUBLIC_DETECTORS:
            groups.setdefault(detector, []).append(name)
    return groups if len(groups) > 1 else {}


def plain_name(where: Path, field: str, value: str) -> str:
    """`value` if it names something directly inside a folder."""
    value = value.strip()
    if not value or value in (".", "..") or any(mark in value for mark in "/\\\0") or not value.isprintable():
        raise InputError(f"{where}: {field} is {value!r}, expected a plain name without path characters")
    return value


def _number(
    path: Path,
    section: configparser.SectionProxy,
    field: str,
    low: float,
    high: float,
    whole: bool = False,
    optional: bool = False,
) -> float:
    text = section.get(field)
    if optional and text is None:
        return 0.0
    kind = "a whole number" if whole else "a number"
    if text is None:
        raise InputError(f"{path}: {field} is missing; expected {kind} in {low:g} … {high:g}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high or (whole and value != int(value)):
        raise InputError(f"{path}: {field} is {text!r}, expected {kind} in {low:g} … {high:g}")
    return value
