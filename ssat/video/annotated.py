"""Annotated video: boxes, identities and trails over the frames, as H.264 in an mp4."""

from __future__ import annotations

import colorsys
import os
from collections import deque
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.errors import WorkspaceError
from ssat.workspace import committed

MAX_WIDTH = 1280
_TRAIL_SECONDS = 1.5
_GOLDEN_RATIO = 0.6180339887498949
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class IdentifiedBoxes(Protocol):
    """The tracks of one frame, as `ssat.tracking.Tracks` has them."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """Identities (n,)."""
        ...

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes (n, 4) x1 y1 x2 y2 in pixels of the frame."""
        ...


class TrackPainter:
    """Painter of the tracks of consecutive frames, with a trail for every identity.

    Args:
        frame_rate: of the frames; the trail is as long as 1.5 s.
        max_width: wider frames are scaled down to it.
    """

    def __init__(self, frame_rate: float, max_width: int = MAX_WIDTH) -> None:
        self._length = max(2, round(_TRAIL_SECONDS * frame_rate))
        self._max_width = max_width
        self._trails: dict[int, deque[tuple[int, tuple[int, int]]]] = {}

    def paint(
        self,
        frame: int,
        image: NDArray[np.uint8],
        tracks: IdentifiedBoxes,
        lost: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None,
    ) -> NDArray[np.uint8]:
        """Return a new picture (H', W', 3) RGB with even sides, at most `max_width` wide.

        Args:
            frame: its number; trails end where an identity was away for longer than they are.
            image: (H, W, 3) RGB.
            tracks: boxes in pixels of `image`.
            lost: identities and last boxes of lost tracks, which are drawn thin and broken.
        """
        height, width = image.shape[:2]
        scale = min(1.0, self._max_width / width)
        # 4:2:0 needs even sides.
        size = (max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))
        picture = image.copy() if size == (width, height) else _resized(image, size)
        factors = np.array([size[0] / width, size[1] / height] * 2)
        boxes = _pixels(tracks.boxes, factors)
        stroke = max(1, round(size[1] / 360))
        for identity, (x1, _, x2, y2) in zip(tracks.ids.tolist(), boxes, strict=True):
            trail = self._trails.setdefault(identity, deque(maxlen=self._length))
            trail.append((frame, ((x1 + x2) // 2, y2)))
        self._trails = {key: trail for key, trail in self._trails.items() if frame - trail[-1][0] <= self._length}
        for identity, trail in self._trails.items():
            points = np.array([point for _, point in trail], np.int32)
            cv2.polylines(picture, [points], False, identity_colour(identity), stroke, cv2.LINE_AA)
        if lost is not None:
            for identity, box in zip(lost[0].tolist(), _pixels(lost[1], factors), strict=True):
                _draw_broken_box(picture, identity, box)
        for identity, box in zip(tracks.ids.tolist(), boxes, strict=True):
            _draw_box(picture, identity, box, stroke)
        return picture


class AnnotatedVideo(AbstractContextManager["AnnotatedVideo"]):
    """Writer of painted frames to an mp4 that appears under its name when it is complete.

    Use as a context; `write` fits `ssat.pipeline.pipeline.track_frames` as a sink.

    Attributes:
        picture: the frame painted last, (H', W', 3) RGB.

    Raises:
        WorkspaceError: the file cannot be written (no space, say).
    """

    def __init__(self, path: Path, frame_rate: float, max_width: int = MAX_WIDTH) -> None:
        self.picture: NDArray[np.uint8] | None = None
        self._path = path
        self._rate = _fraction(frame_rate)
        self._painter = TrackPainter(frame_rate, max_width)
        self._stack = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._n_written = 0

    def __enter__(self) -> AnnotatedVideo:
        temporary = self._stack.enter_context(committed(self._path))
        self._container = self._stack.enter_context(
            av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"})
        )
        return self

    def write(
        self,
        number: int,
        image: NDArray[np.uint8] | None,
        tracks: IdentifiedBoxes,
        lost: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None,
    ) -> None:
        """Paint and encode the next frame; `lost` as in `TrackPainter.paint`."""
        if image is None or self._container is None:
            raise ValueError("an annotated video needs images, and to be entered as a context")
        picture = self._painter.paint(number, image, tracks, lost)
        if self._stream is None:
            self._stream = self._new_stream(self._container, picture)
        elif picture.shape[:2] != (self._stream.height, self._stream.width):
            picture = _resized(picture, (self._stream.width, self._stream.height))
        self.picture = picture
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        # Without a time base the encoder misinterprets the numbers.
        frame.time_base = 1 / self._rate
        frame.pts = self._n_written
        self._n_written += 1
        self._mux(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._mux(None)
        except BaseException as late:
            self._stack.__exit__(type(late), late, late.__traceback__)
            raise
        try:
            self._stack.__exit__(kind, error, trace)
        except (av.FFmpegError, OSError) as late:
            raise self._not_written(late) from late

    def _mux(self, frame: av.VideoFrame | None) -> None:
        if self._stream is None or self._container is None:
            raise ValueError("no frame was written yet")
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._not_written(error) from error

    def _not_written(self, error: Exception) -> WorkspaceError:
        return WorkspaceError(
            f"{self._path}: the video could not be written ({error}); free space, or switch setting `video` off"
        )

    def _new_stream(self, container: av.container.OutputContainer, picture: NDArray[np.uint8]) -> av.VideoStream:
        stream = container.add_stream("libx264", rate=self._rate, options={"preset": "veryfast", "crf": "24"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = min(4, os.cpu_count() or 1)
        return stream


def identity_colour(identity: int) -> tuple[int, int, int]:
    """Return a bright RGB colour; neighbouring identities get hues far apart."""
    hue = identity * _GOLDEN_RATIO % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _pixels(boxes_N4: NDArray[np.float64], factors: NDArray[np.float64]) -> list[list[int]]:
    pixels: list[list[int]] = np.clip(np.rint(boxes_N4 * factors), -32000, 32000).astype(int).tolist()
    return pixels


def _draw_broken_box(picture: NDArray[np.uint8], identity: int, box: list[int]) -> None:
    x1, y1, x2, y2 = box
    colour, dash = identity_colour(identity), 6
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            cv2.line(picture, (x, y), (min(x + dash, x2), y), colour, 1)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            cv2.line(picture, (x, y), (x, min(y + dash, y2)), colour, 1)
    cv2.putText(picture, f"{identity} lost", (x1 + 3, max(y1, 0) + 12), _FONT, 0.4, colour, 1, cv2.LINE_AA)


def _draw_box(picture: NDArray[np.uint8], identity: int, box: list[int], stroke: int) -> None:
    x1, y1, x2, y2 = box
    colour = identity_colour(identity)
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, stroke, cv2.LINE_AA)
    text, size = str(identity), 0.3 + 0.12 * stroke
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    # The label stays inside the picture where the box begins above it.
    bottom = max(y1, height + 6)
    cv2.rectangle(picture, (x1, bottom - height - 6), (x1 + width + 6, bottom), colour, cv2.FILLED)
    cv2.putText(picture, text, (x1 + 3, bottom - 3), _FONT, size, (0, 0, 0), 1, cv2.LINE_AA)


def _fraction(frame_rate: float) -> Fraction:
    """Return the rate as a ratio of small numbers; of a rate far below 1, of its period."""
    if frame_rate < 1:
        return 1 / Fraction(1 / frame_rate).limit_denominator(1001)
    return Fraction(frame_rate).limit_denominator(1001)
