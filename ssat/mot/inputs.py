"""What can be tracked outside a benchmark: a video, a folder of images or a MOTChallenge sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ssat.errors import InputError
from ssat.mot.rows import MotRows, read_detections
from ssat.mot.sequence import MotSequence
from ssat.tracking.sources import FrameSource, ImageSource, VideoSource

_IMAGE_FRAME_RATE = 30.0


@dataclass(frozen=True)
class TrackInput:
    """Frames and detections.

    Attributes:
        source: the frames; None where a sequence has labels only.
        numbers: the frames' numbers, where they are known beforehand.
    """

    name: str
    frame_rate: float
    source: FrameSource | None
    numbers: range | None
    detections: MotRows


def open_input(
    path: Path, detections: str | None, frame_rate: float | None = None, min_score: float | None = None
) -> TrackInput:
    """Opens a video file, a folder of images or a MOTChallenge sequence (a folder with seqinfo.ini).

    Args:
        path: the input.
        detections: a text file in MOTChallenge form; for a sequence also the name of a file in its det folder, or
            None for its public detections.
        frame_rate: instead of the input's own; images without seqinfo.ini have 30.
        min_score: leave out detections that score less.

    Raises:
        InputError: no such input, no detections, or files that do not fit.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a video, a folder of images or a sequence")
    if (path / "seqinfo.ini").is_file():
        opened = _open_sequence(MotSequence.open(path), detections, frame_rate)
    else:
        source: FrameSource
        if path.is_dir():
            source = ImageSource.of_folder(path, frame_rate or _IMAGE_FRAME_RATE)
        else:
            source = VideoSource.open(path, frame_rate)
        if detections is None:
            raise InputError(
                f"{path}: no detections. There is no detector in this version: give a text file in MOTChallenge form "
                "(frame, -1, left, top, width, height, score) with --detections"
            )
        # The header of a video need not tell the truth about its length: only images are counted for certain.
        n_frames = source.n_frames if path.is_dir() else None
        numbers = range(1, n_frames + 1) if n_frames else None
        rows = read_detections(Path(detections).expanduser(), n_frames)
        opened = TrackInput(source.name, source.frame_rate, source, numbers, rows)
    if min_score is None:
        return opened
    kept = opened.detections.select(opened.detections.scores >= min_score)
    return TrackInput(opened.name, opened.frame_rate, opened.source, opened.numbers, kept)


def _open_sequence(sequence: MotSequence, detections: str | None, frame_rate: float | None) -> TrackInput:
    numbers = range(1, sequence.n_frames + 1)
    if detections is None:
        rows = sequence.detections()
    elif Path(detections).expanduser().is_file():
        rows = read_detections(Path(detections).expanduser(), sequence.n_frames)
    else:
        rows = sequence.detections(detections)
    rate = frame_rate or sequence.frame_rate
    source = None
    if sequence.image_folder is not None:
        sequence.check_images(numbers)
        paths: Iterable[Path] = (sequence.image_path(number) for number in numbers)
        source = ImageSource(sequence.name, rate, list(paths), numbers, (sequence.width, sequence.height))
    return TrackInput(sequence.name, rate, source, numbers, rows)
