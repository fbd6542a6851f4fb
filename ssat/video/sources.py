"""Frames to track in: a folder of images or a video file."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.video.display_matrix import upright_rgb
from ssat.video.image_files import IMAGE_SUFFIXES, image_digest, list_images, read_image
from ssat.video.untrusted import VideoError, joined_parts, open_video
from ssat.workspace import sha256_of

Image = NDArray[np.uint8]
NumberedFrame = tuple[int, Image]

_AHEAD = 4  # frames decoded before they are asked for


class FrameSource(Protocol):
    """Frames in order, each with its number (from 1), as RGB uint8 (H, W, 3)."""

    @property
    def name(self) -> str:
        """Base name of result files."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        ...

    @property
    def n_frames(self) -> int | None:
        """Number of frames, if known beforehand."""
        ...

    def __iter__(self) -> Iterator[NumberedFrame]: ...


@dataclass(frozen=True)
class ImageSource:
    """Image files, one a frame.

    Attributes:
        numbers: the frame number of each file.
        size: (width, height) that every image must have; None: that of the first.
    """

    name: str
    frame_rate: float
    paths: Sequence[Path]
    numbers: Sequence[int]
    size: tuple[int, int] | None = None

    @classmethod
    def of_folder(cls, folder: Path, frame_rate: float) -> ImageSource:
        """Return all images of a folder by the numbers in their names (2.jpg before 10.jpg), numbered from 1.

        Raises:
            InputError: no image in it.
        """
        paths = list_images(folder)
        if not paths:
            raise InputError(f"{folder}: no images; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
        return cls(folder.resolve().name, frame_rate, paths, range(1, len(paths) + 1))

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.paths)

    def content(self, number: int) -> str:
        """Return SHA-256 of the picture of a frame."""
        return image_digest(self.paths[self.numbers.index(number)])

    def __iter__(self) -> Iterator[NumberedFrame]:
        size = self.size
        for number, path in zip(self.numbers, self.paths, strict=True):
            image = read_image(path)
            given = (image.shape[1], image.shape[0])
            size = size or given
            if given != size:
                whence = "as the first image" if self.size is None else "as imWidth and imHeight in seqinfo.ini say"
                raise InputError(f"{path}: is {given[0]}x{given[1]} pixels, expected {size[0]}x{size[1]} {whence}")
            yield number, image


@dataclass(frozen=True)
class VideoSource:
    """The main video stream of a file that FFmpeg can read: the largest that is no cover and no still.

    Attributes:
        notes: what was odd about it, for people; complete when its frames were read.
        has_sound: the file holds sound too.
    """

    name: str
    frame_rate: float
    n_frames: int | None
    path: Path
    notes: list[str] = field(default_factory=list)
    has_sound: bool = False

    @classmethod
    def open(cls, path: Path, frame_rate: float | None = None) -> VideoSource:
        """Read the header; `frame_rate` stands in for its own.

        Raises:
            InputError: no such file, or no video in it.
        """
        import av

        if not path.is_file():
            raise InputError(f"{path}: no such video file")
        try:
            container, stream = open_video(path)
            with container:
                rate = frame_rate or stream.average_rate or stream.guessed_rate
                n_frames = None if joined_parts(container) else int(stream.frames) or None
                has_sound = bool(container.streams.audio)
        except VideoError as error:
            raise InputError(f"{path}: {error}; expected a file with video") from error
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{path}: not a video that can be read ({error})") from error
        if not rate:
            raise InputError(f"{path}: states no frame rate; set it with setting `frame_rate`")
        return cls(path.stem, float(rate), n_frames, path, has_sound=has_sound)

    def __iter__(self) -> Generator[NumberedFrame, None, None]:
        import av

        number = 0
        times = _FrameTimes()
        self.notes.clear()
        try:
            container, _ = open_video(self.path)
            with container:
                parts = joined_parts(container)
            for part in parts or (None,):
                times.restart()
                container, stream = open_video(self.path, part)
                with container:
                    stream.thread_type = "AUTO"
                    for frame in container.decode(stream):
                        number += 1
                        times.add(frame.time)
                        yield number, upright_rgb(frame)
        except av.FFmpegError as error:
            raise InputError(f"{self.path}: broken after frame {number} ({error})") from error
        if parts:
            self.notes.append(f"{len(parts)} videos are joined in this file; they are read as one, in order")
        if not number:
            raise InputError(f"{self.path}: holds no frame that can be decoded")
        if self.n_frames is not None and number < self.n_frames:
            self.notes.append(f"the video ends early: its header promises {self.n_frames} frames, {number} are there")
        if times.uneven:
            self.notes.append(
                f"frames follow each other after {1000 * times.shortest:.0f} to {1000 * times.longest:.0f} ms: the "
                f"frame rate changes; lost tracks live by {self.frame_rate:.4g} frames per second throughout"
            )

    @cached_property
    def _digest(self) -> str:
        return sha256_of(self.path)

    def content(self, number: int) -> str:
        """Return the identity of a frame: SHA-256 of the file, and number."""
        return f"{self._digest}/{number}"


class _FrameTimes:
    """The shortest and longest time from a frame to the next, but for the outermost in a hundred."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._steps: dict[int, int] = {}

    def restart(self) -> None:
        """Forget the last time: another clock follows."""
        self._last = None

    def add(self, seconds: float | None) -> None:
        if seconds is not None and self._last is not None:
            step = round(1000 * (seconds - self._last))
            self._steps[step] = self._steps.get(step, 0) + 1
        self._last = seconds

    def _share(self, share: float) -> float:
        left = share * sum(self._steps.values())
        for step, count in sorted(self._steps.items()):
            left -= count
            if left < 0:
                return step / 1000
        return 0.0

    @property
    def shortest(self) -> float:
        return self._share(0.02)

    @property
    def longest(self) -> float:
        return self._share(0.98)

    @property
    def uneven(self) -> bool:
        # Time stamps are rounded: at 60 fps a step is 16 or 17 ms.
        return self.longest > 1.5 * self.shortest + 0.002


def read_ahead(source: FrameSource, depth: int = _AHEAD) -> Iterator[NumberedFrame]:
    """Yield the frames of `source`, decoded by a thread of their own a few frames ahead of the consumer."""
    waiting: queue.Queue[NumberedFrame | BaseException | None] = queue.Queue(depth)
    abandoned = threading.Event()

    def put(item: NumberedFrame | BaseException | None) -> bool:
        while not abandoned.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the frames are consumed
            put(error)
        else:
            put(None)

    reader = threading.Thread(target=read, name=f"read-{source.name}", daemon=True)
    reader.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        reader.join()
