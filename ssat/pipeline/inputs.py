"""Inputs of `ssat track`: a video, a folder of images, a MOTChallenge sequence, a stream, a camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssat.errors import InputError
from ssat.file_names import SEQUENCE_INFO
from ssat.mot.detection_files import read_any_detections
from ssat.mot.rows import MotRows
from ssat.mot.sequence import MotSequence
from ssat.video.sources import FrameSource, Image, ImageSource, VideoSource, read_ahead
from ssat.video.streams import CameraSource, StreamSource, is_stream, read_latest

_IMAGE_FRAME_RATE = 30.0


@dataclass(frozen=True)
class TrackInput:
    """Frames and detections.

    Attributes:
        source: the frames; None if a sequence has labels only.
        numbers: the frames' numbers, where they are known beforehand.
        detections: those that were given; None: a detector finds them.
        clocked: frames arrive at the pace of the source.
        notes: what was left out of the detections, for people.
    """

    name: str
    frame_rate: float
    source: FrameSource | None
    numbers: range | None
    detections: MotRows | None
    clocked: bool = False
    notes: tuple[str, ...] = ()


def open_input(
    given: Path | str,
    detections: str | None,
    frame_rate: float | None = None,
    min_score: float | None = None,
    *,
    detecting: bool = False,
    classes: Sequence[str] = (),
) -> TrackInput:
    """Open a video file, a folder of images, a MOTChallenge sequence (a folder with seqinfo.ini), a stream's address
    (rtsp, http) or the index of a camera.

    Args:
        given: the input.
        detections: a file as `read_any_detections` takes it; for a sequence also the name of a file in its det folder,
            or None for its public detections.
        frame_rate: instead of the input's own; images without seqinfo.ini have 30.
        min_score: leave out detections that score less.
        detecting: a detector processes the frames; detections are not required then.
        classes: categories of a COCO file that are tracked; by default people.

    Raises:
        InputError: no such input, no detections, or files that do not fit.
    """
    if is_stream(str(given)):
        return _open_stream(str(given), detections, frame_rate, detecting)
    path = Path(given).expanduser()
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; expected a video, a folder of images, a sequence, an address "
            "(rtsp, http) or the number of a camera"
        )
    if (path / SEQUENCE_INFO).is_file():
        opened = _open_sequence(MotSequence.open(path), detections, frame_rate, classes)
    else:
        opened = _open_video(path, detections, frame_rate, detecting, classes)
    if detecting and opened.source is None:
        raise InputError(f"{path}: labels only, no frames (img1): there is nothing to detect in")
    if opened.detections is None:
        return opened
    if not len(opened.detections):
        return replace(opened, notes=(*opened.notes, "the file of detections holds none: no track starts"))
    if min_score is None:
        return opened
    kept = opened.detections.select(opened.detections.scores >= min_score)
    if not len(kept):
        best = float(np.max(opened.detections.scores))
        raise InputError(f"{path}: no detection scores {min_score:g} or more; the best scores {best:g}")
    return replace(opened, detections=kept)


def _open_video(
    path: Path, detections: str | None, frame_rate: float | None, detecting: bool, classes: Sequence[str]
) -> TrackInput:
    source: FrameSource
    if path.is_dir():
        source = ImageSource.of_folder(path, frame_rate or _IMAGE_FRAME_RATE)
    else:
        source = VideoSource.open(path, frame_rate)
    # The header of a video may state a wrong length: only the number of images is certain.
    n_frames = source.n_frames if path.is_dir() else None
    numbers = range(1, n_frames + 1) if n_frames else None
    if detections is None:
        if not detecting:
            raise InputError(
                f"{path}: no detections. Let fasterrcnn, retinanet or fcos find people (setting `detector`), or give "
                "a file with setting `detections`: MOTChallenge text (frame, -1, left, top, width, height, score), "
                "COCO JSON or Parquet"
            )
        return TrackInput(source.name, source.frame_rate, source, numbers, None)
    found = read_any_detections(Path(detections).expanduser(), n_frames, classes)
    return TrackInput(source.name, source.frame_rate, source, numbers, found.rows, notes=found.notes)


def _open_stream(address: str, detections: str | None, frame_rate: float | None, detecting: bool) -> TrackInput:
    if detections is not None:
        raise InputError(
            "setting `detections` belongs to a file: a stream's frames have no numbers beforehand; use "
            "setting `detector`"
        )
    if not detecting:
        raise InputError(
            "a stream or camera needs a detector: setting `detector` (fasterrcnn, retinanet or fcos), or "
            "setting `refine`"
        )
    if address.isdecimal():
        camera = CameraSource.open(int(address), frame_rate)
        return TrackInput(camera.name, camera.frame_rate, camera, None, None, clocked=True)
    stream = StreamSource.open(address, frame_rate)
    return TrackInput(stream.name, stream.frame_rate, stream, None, None, clocked=stream.n_frames is None)


def _open_sequence(
    sequence: MotSequence, detections: str | None, frame_rate: float | None, classes: Sequence[str]
) -> TrackInput:
    numbers = range(1, sequence.n_frames + 1)
    notes: tuple[str, ...] = ()
    if detections is None:
        rows = sequence.detections()
    elif Path(detections).expanduser().is_file():
        found = read_any_detections(Path(detections).expanduser(), sequence.n_frames, classes)
        rows, notes = found.rows, found.notes
    else:
        rows = sequence.detections(detections)
    rate = frame_rate or sequence.frame_rate
    source = None
    if sequence.has_frames:
        sequence.check_images(numbers)
        source = sequence.frame_source(numbers, rate)
    return TrackInput(sequence.name, rate, source, numbers, rows, notes=notes)


def read_frames(
    source: FrameSource | None, numbers: Sequence[int] | None = None, *, images: bool = True, newest: bool = False
) -> Iterator[tuple[int, Image | None]]:
    """Yield number and image of every frame, read by a thread of its own.

    Args:
        numbers: of the frames, where they are known beforehand: enough where no image is needed.
        images: the images are needed; without a source there are none.
        newest: of a source with a clock, skip the frames that came while the last one was used.
    """
    if source is None or (not images and numbers is not None):
        yield from ((number, None) for number in numbers or ())
        return
    with closing(read_latest(source) if newest else read_ahead(source)) as frames:  # type: ignore[type-var]
        yield from frames
