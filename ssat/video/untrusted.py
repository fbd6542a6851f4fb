"""Read an untrusted video file: its stream, its rate, its stated length, its frames with times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# Larger pictures are refused before they are decoded: a few bytes can ask for gigabytes.
_MAX_PIXELS = 8192 * 8192
_MAX_BROKEN_PACKETS = 100


class VideoError(ValueError):
    """The file is not a video that can be used; the message says why, in one line."""


def open_video(source: Path) -> tuple[InputContainer, VideoStream]:
    """The file and its first video stream that is no cover picture. The caller closes the file.

    Raises:
        VideoError: the file is empty, has no pictures, or they are too large.
        av.error.FFmpegError: not a media file.
    """
    try:
        size = source.stat().st_size
    except OSError as error:
        raise VideoError(f"the file cannot be read: {error.strerror}") from error
    if size == 0:
        raise VideoError("the file is empty (0 bytes)")
    # Playlists and concatenations could name other files and addresses: a downloaded file is read as a file alone.
    container = av.open(str(source), options={"protocol_whitelist": "file"})
    try:
        # Cover pictures of audio files are video streams too.
        streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not streams:
            raise VideoError("no video stream" + (", only sound" if container.streams.audio else ""))
        stream = streams[0]
        if stream.codec_context.width * stream.codec_context.height > _MAX_PIXELS:
            raise VideoError(f"{stream.codec_context.width}x{stream.codec_context.height} is too large")
    except BaseException:
        container.close()
        raise
    return container, stream


def frame_rate(stream: VideoStream) -> float:
    """Frames per second, as well as the file says; 30 where it says nothing sensible."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 1 <= rate <= 1000:
            return float(rate)
    return 30.0


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def stated_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds after the first frame at which the file says that its pictures end; None where it does not say."""
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    # The duration of the container may be that of its sound.
    if container.duration and not container.streams.audio:
        return container.duration / av.time_base
    return None


def timed_frames(container: InputContainer, stream: VideoStream, start_s: float) -> Iterator[tuple[float, VideoFrame]]:
    """(seconds since the first frame of the video, frame) from the key frame at or before `start_s` on."""
    origin = float((stream.start_time or 0) * _time_base(stream))
    interval = 1 / frame_rate(stream)
    if start_s > 0:
        container.seek(int((start_s + origin) / _time_base(stream)), stream=stream, backward=True)
    # AVI stores no presentation times and those that are made up go backwards at B-frames. Its frames come at a fixed
    # rate, so they are counted from the key frame's packet on.
    counted = container.format.name == "avi"
    last = None
    broken = 0
    for packet in container.demux(stream):
        if last is None and packet.dts is not None:
            last = float(packet.dts * _time_base(stream)) - origin - interval
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            broken += 1
            if broken > _MAX_BROKEN_PACKETS:
                raise
            continue
        for frame in decoded:
            by_count = (last or 0.0) + interval
            last = by_count if counted or frame.time is None else frame.time - origin
            yield last, frame
