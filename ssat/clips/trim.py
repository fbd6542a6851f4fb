"""Cut a clip out of a video: exact frames, upright, small, H.264, no sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from ssat.clips.failures import ClipFailure, FailureClass
from ssat.workspace import committed, sha256_of

# Times of kept frames are written in this base: 30, 25, 24, 50, 60 and 15 fps are whole numbers in it.
_TIME_BASE = Fraction(1, 90_000)
# Larger pictures are refused before they are decoded: a few bytes can ask for gigabytes.
_MAX_PIXELS = 8192 * 8192
_MIN_SIDE = 16
_MAX_BROKEN_PACKETS = 100
# A pixel aspect ratio closer to 1 than this is the rounding of an earlier scaling, not anamorphic video.
_SQUARE_WITHIN = 0.03


@dataclass(frozen=True)
class TrimSettings:
    """How a clip is cut. Times in seconds, sizes in pixels."""

    seconds: float = 10.0
    min_seconds: float = 3.0
    short_side: int = 256
    crf: int = 19
    preset: str = "veryfast"
    timeout_s: float = 300.0


@dataclass(frozen=True)
class TrimmedClip:
    """What was written. `copied` where the packets were taken over without encoding anew."""

    width: int
    height: int
    fps: float
    n_frames: int
    duration_s: float
    bytes: int
    sha256: str
    copied: bool


def trim_clip(
    source: Path, target: Path, settings: TrimSettings, *, start_s: float = 0.0, end_s: float | None = None
) -> TrimmedClip:
    """Write the clip [start_s, start_s + settings.seconds) of `source` to `target`, an mp4.

    A frame belongs to the clip when it is shown in that span: 10 s are exactly 300 frames at 30 fps, 600 at 60. A video
    that ends earlier gives what there is, from `min_seconds` up. `end_s` shortens the span, never lengthens it.
    `target` appears complete or not at all.

    Raises:
        ClipFailure: of class MEDIA; the file is no video, is broken or cut off, or has too little in that span.
        OSError: the target cannot be written.
    """
    seconds = settings.seconds if end_s is None else min(settings.seconds, end_s - start_s)
    try:
        if start_s == 0 and (copied := _copy(source, target, settings, seconds)):
            return copied
        return _encode(source, target, settings, start_s, seconds)
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError):
            raise
        raise ClipFailure(FailureClass.MEDIA, f"not a readable video: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]


def _open(source: Path) -> tuple[InputContainer, VideoStream]:
    if source.stat().st_size == 0:
        raise ClipFailure(FailureClass.MEDIA, "the file is empty (0 bytes)")
    # Playlists and concatenations could name other files and addresses: a downloaded file is read as a file alone.
    container = av.open(str(source), options={"protocol_whitelist": "file"})
    try:
        # Cover pictures of audio files are video streams too.
        streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not streams:
            raise ClipFailure(
                FailureClass.MEDIA, "no video stream" + (", only sound" if container.streams.audio else "")
            )
        stream = streams[0]
        if stream.codec_context.width * stream.codec_context.height > _MAX_PIXELS:
            raise ClipFailure(
                FailureClass.MEDIA, f"{stream.codec_context.width}x{stream.codec_context.height} is too large"
            )
    except BaseException:
        container.close()
        raise
    return container, stream


def _rate(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 1 <= rate <= 1000:
            return float(rate)
    return 30.0


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _stated_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds after the first frame at which the file says that its pictures end; None where it does not say."""
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    # The duration of the container may be that of its sound.
    if container.duration and not container.streams.audio:
        return container.duration / av.time_base
    return None


def _frames(container: InputContainer, stream: VideoStream, start_s: float) -> Iterator[tuple[float, VideoFrame]]:
    """(seconds since the first frame of the video, frame) from the key frame at or before `start_s` on."""
    origin = float((stream.start_time or 0) * _time_base(stream))
    interval = 1 / _rate(stream)
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


def _encode(source: Path, target: Path, settings: TrimSettings, start_s: float, seconds: float) -> TrimmedClip:
    container, stream = _open(source)
    with container:
        stream.thread_type = "SLICE"  # frame threads would add memory per video; several videos run at once
        interval = 1 / _rate(stream)
        stated_end = _stated_end(container, stream)
        if stated_end is not None and stated_end - start_s < settings.min_seconds - interval:
            raise _too_short(stated_end, start_s, settings)
        with committed(target) as temporary:
            n_frames, span = _write(container, stream, temporary, settings, start_s, seconds)
            end = start_s + span
            if stated_end is not None and end < min(start_s + seconds, stated_end) - max(0.5, 2 * interval):
                raise ClipFailure(
                    FailureClass.MEDIA, f"cut off: pictures end at {end:.1f} s of the {stated_end:.1f} s stated"
                )
            if span < settings.min_seconds - interval / 2:
                raise _too_short(end, start_s, settings)
            return _facts(temporary, n_frames, span, copied=False)


def _too_short(end_s: float, start_s: float, settings: TrimSettings) -> ClipFailure:
    where = f" from {start_s:g} s on" if start_s else ""
    return ClipFailure(
        FailureClass.MEDIA,
        f"too short: the video ends at {end_s:.2f} s; at least {settings.min_seconds:g} s{where} are needed",
    )


def _write(
    container: InputContainer,
    stream: VideoStream,
    target: Path,
    settings: TrimSettings,
    start_s: float,
    seconds: float,
) -> tuple[int, float]:
    """Encode the frames of the span. Returns their number and the time that they are shown, in seconds."""
    interval = 1 / _rate(stream)
    deadline = time.monotonic() + settings.timeout_s
    reformatter = VideoReformatter()
    first = last = 0.0
    n_frames = corrupt = 0
    with av.open(str(target), "w", options={"movflags": "+faststart"}) as output:
        encoder = None
        upright = None
        for at, frame in _frames(container, stream, start_s):
            # A quarter of a frame of tolerance: containers round times, Matroska to whole milliseconds.
            if at < start_s - interval / 4:
                continue
            if n_frames and at - first >= seconds - interval / 4:
                break
            if time.monotonic() > deadline:
                raise ClipFailure(FailureClass.MEDIA, f"decoding took longer than {settings.timeout_s:g} s")
            if encoder is None or upright is None:
                first, size = at, stored_size(frame, stream, settings.short_side)
                upright = _Upright(frame.rotation, *size)
                encoder = output.add_stream(
                    "libx264",
                    rate=Fraction(1 / interval).limit_denominator(1001),
                    width=upright.width,
                    height=upright.height,
                    pix_fmt="yuv420p",
                    time_base=_TIME_BASE,
                    options={"crf": str(settings.crf), "preset": settings.preset, "threads": "1"},
                )
            elif at <= last:
                continue  # a frame shown before the one already kept: broken times
            corrupt += frame.is_corrupt
            small = reformatter.reformat(frame, *size, "yuv420p", interpolation=Interpolation.AREA, threads=1)
            turned = upright(small)
            turned.pts = round((at - first) / _TIME_BASE)
            turned.time_base = _TIME_BASE
            turned.pict_type = 0  # the source's picture types are not ours
            output.mux(encoder.encode(turned))
            last, n_frames = at, n_frames + 1
        if encoder is None:
            raise ClipFailure(FailureClass.MEDIA, f"no picture from {start_s:g} s on")
        if corrupt > n_frames // 20:
            raise ClipFailure(FailureClass.MEDIA, f"{corrupt} of {n_frames} frames are damaged")
        output.mux(encoder.encode(None))
    return n_frames, last - first + interval


def stored_size(frame: VideoFrame, stream: VideoStream, short_side: int) -> tuple[int, int]:
    """(width, height) in pixels of the stored picture before it is turned upright: square pixels, even, at most
    `short_side` on the short side, never enlarged."""
    aspect = float(stream.sample_aspect_ratio or 1)
    width = frame.width * (aspect if abs(aspect - 1) > _SQUARE_WITHIN and 0.1 < aspect < 10 else 1)
    scale = min(1.0, short_side / min(width, frame.height))
    size = tuple(min(2 * round(side * scale / 2), int(side) // 2 * 2) for side in (width, frame.height))
    if min(size) < _MIN_SIDE:
        raise ClipFailure(FailureClass.MEDIA, f"{frame.width}x{frame.height} pixels are too few")
    return size[0], size[1]


class _Upright:
    """Turns frames by the rotation that their file asks for. `width`, `height`: the picture after turning."""

    def __init__(self, rotation: int, width: int, height: int) -> None:
        # Counter-clockwise degrees; phones write multiples of 90, anything else is left as it is.
        steps = {90: ("cclock",), -90: ("clock",), 180: ("clock", "clock"), -180: ("clock", "clock")}.get(rotation, ())
        self.width, self.height = (height, width) if len(steps) == 1 else (width, height)
        self._graph = None
        if steps:
            self._graph = av.filter.Graph()
            node = self._graph.add_buffer(
                width=width, height=height, format=VideoFormat("yuv420p"), time_base=_TIME_BASE
            )
            for step in steps:
                turn = self._graph.add("transpose", f"dir={step}")
                node.link_to(turn)
                node = turn
            node.link_to(self._graph.add("buffersink"))
            self._graph.configure()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        if self._graph is None:
            return frame
        frame.time_base = _TIME_BASE
        self._graph.push(frame)
        turned = self._graph.pull()
        assert isinstance(turned, VideoFrame)  # noqa: S101 - the graph has pictures alone
        return turned


def _copy(source: Path, target: Path, settings: TrimSettings, seconds: float) -> TrimmedClip | None:
    """Take the packets over where nothing has to change; None where it has to, or where the copy does not hold."""
    container, stream = _open(source)
    with container:
        context = stream.codec_context
        interval = 1 / _rate(stream)
        end = _stated_end(container, stream)
        aspect = float(stream.sample_aspect_ratio or 1)
        if (
            context.name != "h264"
            or context.pix_fmt != "yuv420p"
            or min(context.width, context.height) > settings.short_side
            or min(context.width, context.height) < _MIN_SIDE
            or context.width % 2
            or context.height % 2
            or abs(aspect - 1) > _SQUARE_WITHIN
            or end is None
            or not settings.min_seconds - interval / 2 <= end <= seconds + interval / 4
        ):
            return None
        with committed(target) as temporary:
            with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as output:
                copy = output.add_stream_from_template(stream)
                packets = 0
                for packet in container.demux(stream):
                    if packet.dts is None:
                        continue
                    packet.stream = copy
                    output.mux(packet)
                    packets += 1
            checked = _checked(temporary, packets, end, interval)
            if checked is None:
                return None
            return checked


def _checked(path: Path, packets: int, end_s: float, interval: float) -> TrimmedClip | None:
    """Facts about a copy after decoding all of it; None where that shows anything but whole, upright frames."""
    container, stream = _open(path)
    with container:
        times = []
        for at, frame in _frames(container, stream, 0.0):
            if frame.is_corrupt or frame.rotation:
                return None
            times.append(at)
        if len(times) != packets or abs(times[-1] - times[0] + interval - end_s) > max(0.5, 2 * interval):
            return None
    return _facts(path, len(times), times[-1] - times[0] + interval, copied=True)


def _facts(path: Path, n_frames: int, duration_s: float, *, copied: bool) -> TrimmedClip:
    container, stream = _open(path)
    with container:
        context = stream.codec_context
        return TrimmedClip(
            width=context.width,
            height=context.height,
            fps=round(n_frames / duration_s, 4),
            n_frames=n_frames,
            duration_s=round(duration_s, 4),
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
            copied=copied,
        )
