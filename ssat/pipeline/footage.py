"""Folders of footage with detections, for the probe during training and for adaptation."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.errors import InputError
from ssat.file_names import SEQUENCE_INFO
from ssat.mot.find import find_sequences
from ssat.pipeline.inputs import TrackInput, open_input
from ssat.video.natural_order import natural_key
from ssat.video.sources import FrameSource, ImageSource, VideoSource

_DETECTIONS = (".txt", ".json", ".parquet")


def open_footage(folder: Path | str, min_score: float | None = None) -> list[TrackInput]:
    """Open the footage in a folder.

    The folder is a MOTChallenge sequence, holds such sequences (SEQ/seqinfo.ini, img1/, det/det.txt), or holds videos,
    each with a file of detections of the same name beside it (street.mp4, street.txt; also .json and .parquet). Labels
    are not needed and not read.

    Args:
        folder: where the footage lies.
        min_score: leave out detections that score less.

    Raises:
        InputError: no such folder, no footage in it, or footage without frames or without detections.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(f"{place}: no such folder; expected footage with detections: {_EXPECTED}")
    pairs = _videos(place)
    if pairs:
        opened = [open_input(video, str(detections), None, min_score) for video, detections in pairs]
    elif (
        (place / SEQUENCE_INFO).is_file()
        or any(place.glob(f"*/{SEQUENCE_INFO}"))
        or any(place.glob(f"train/*/{SEQUENCE_INFO}"))
    ):
        opened = [open_input(sequence.folder, None, None, min_score) for sequence in find_sequences(place)]
    else:
        raise InputError(f"{place}: no footage with detections; expected {_EXPECTED}")
    for footage in opened:
        if footage.source is None:
            raise InputError(f"{place}: {footage.name} holds no frames (img1); expected frames and detections")
        if footage.detections is None or not len(footage.detections):
            raise InputError(f"{place}: {footage.name} has no detections; detect people there first")
    return opened


def footage_digest(opened: list[TrackInput]) -> str:
    """Return a SHA-256 of detections, frame rates, and names and sizes of the files of frames."""
    digest = hashlib.sha256()
    for footage in opened:
        digest.update(f"{footage.name} {footage.frame_rate}\n".encode())
        for path in _files(footage.source):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        if footage.detections is not None:
            digest.update(footage.detections.frames.tobytes())
            digest.update(footage.detections.boxes.tobytes())
    return digest.hexdigest()


def last_frame(footage: TrackInput) -> int:
    """Return the number of the last frame; of a video the last that has a detection, for only that is certain."""
    if footage.numbers is not None:
        return footage.numbers.stop - 1
    return 0 if footage.detections is None else int(footage.detections.frames.max(initial=0))


_EXPECTED = (
    "MOTChallenge sequences (SEQ/seqinfo.ini, img1/, det/det.txt), or videos, each with detections of the same name "
    "(street.mp4 and street.txt)"
)


def _videos(folder: Path) -> list[tuple[Path, Path]]:
    """Return the videos of the folder with their files of detections, ordered by number."""
    found = []
    for video in sorted(folder.iterdir(), key=lambda path: natural_key(path.name)):
        if video.suffix.lower() in VIDEO_SUFFIXES and video.is_file():
            files = [video.with_suffix(suffix) for suffix in _DETECTIONS if video.with_suffix(suffix).is_file()]
            if len(files) != 1:
                what = "no file" if not files else f"{len(files)} files"
                raise InputError(
                    f"{video}: {what} of detections beside it; expected one of "
                    f"{', '.join(video.with_suffix(suffix).name for suffix in _DETECTIONS)}"
                )
            found.append((video, files[0]))
    return found


def _files(source: FrameSource | None) -> list[Path]:
    if isinstance(source, ImageSource):
        return list(source.paths)
    return [source.path] if isinstance(source, VideoSource) else []
