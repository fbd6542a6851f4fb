"""Cut a clip out of a video: exact frames, upright, small, H.264, no sound."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ssat.clips.colours import JFIF, Colours, scaled, stored_colours
from ssat.clips.failures import ClipFailure, FailureClass
from ssat.video.display_matrix import UPRIGHT, Orientation
from ssat.video.untrusted import VideoError, frame_rate, open_video, stated_end, timed_frames
from ssat.workspace import committed, sha256_of

# Times of kept frames are written in this base: 30, 25, 24, 50, 60 and 15 fps are whole numbers in it.
_TIME_BASE = Fraction(1, 90_000)
_MIN_SIDE = 16
# Containers round times, Matroska to whole milliseconds; more would take in a frame of a variable frame rate too many.
_ROUNDING_S = 0.0015
_FAULTS_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
# A pixel aspect ratio closer to 1 than this is the rounding of an earlier scaling, not anamorphic video.
_SQUARE_WITHIN = 0.03


@dataclass(frozen=True)
class TrimSettings:
    """Length and format of a clip. Times in seconds, sizes in pixels."""

    seconds: float = 10.0
    min_seconds: float = 3.0
    short_side: int = 256
    crf: int = 19
    preset: str = "veryfast"
    timeout_s: float = 300.0


# The same frames give the same bytes on every processor and in every run: otherwise the AVX-512 code of libx264's
# lookahead reads memory that is not set (core 165), and instruction sets round differently.
_SAME_EVERYWHERE = {"threads": "1", "x264-params": "cpu-independent=1"}


@dataclass(frozen=True)
class TrimmedClip:
    """Result of trimming.

    Attributes:
        fps: frames per second, between the frames.
        duration_s: seconds that the frames are shown, at most the requested length.
        copied: the packets were taken over without encoding again.
        dropped: pictures left out because their times go back.
    """

    width: int
    height: int
    fps: float
    n_frames: int
    duration_s: float
    bytes: int
    sha256: str
    copied: bool
    dropped: int = 0


def trim_clip(
    source: Path, target: Path, settings: TrimSettings, *, start_s: float = 0.0, end_s: float | None = None
) -> TrimmedClip:
    """Write the clip [start_s, start_s + settings.seconds) of `source` to `target`, an mp4.

    The clip begins with the first frame that appears at `start_s` or later, and holds the frames that appear within its
    length from there: 10 s are exactly 300 frames at 30 fps, 600 at 60. A video that ends earlier gives what there is,
    from `min_seconds` up. `end_s` shortens the span, never lengthens it. `target` appears complete or not at all.

    Raises:
        ClipFailure: of class MEDIA; the file is no video, is broken or cut off, or has too little in that span.
        OSError: the target cannot be written.
    """
    seconds = settings.seconds if end_s is None else min(settings.seconds, end_s - start_s)
    try:
        if start_s == 0 and (copied := _copied(source, target, settings, seconds)):
            return copied
        return _encode(source, target, settings, start_s, seconds)
    except VideoError as error:
        raise ClipFailure(FailureClass.MEDIA, str(error)) from error
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        number = getattr(error, "errno", None)
        if number in _FAULTS_OF_THE_DISK:
            raise OSError(number, _words(error)) from error  # the next clip would fail as well
        raise ClipFailure(FailureClass.MEDIA, f"not a readable video: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]


def _encode(source: Path, target: Path, settings: TrimSettings, start_s: float, seconds: float) -> TrimmedClip:
    container, stream = open_video(source)
    with container:
        stream.thread_type = "SLICE"  # frame threads would add memory per video; several videos run at once
        interval = 1 / frame_rate(stream)
        stated = stated_end(container, stream)
        if stated is not None and stated - start_s < settings.min_seconds - interval:
            raise _too_short(stated, start_s, settings)
        with committed(target) as temporary:
            written = _write(container, stream, temporary, settings, start_s, seconds)
            span = min(written.shown_s, seconds)
            end = start_s + span
            if written.ended and stated is not None and end < min(start_s + seconds, stated) - max(0.5, 2 * interval):
                raise ClipFailure(
                    FailureClass.MEDIA, f"cut off: pictures end at {end:.1f} s of the {stated:.1f} s stated"
                )
            if span < settings.min_seconds - interval / 2:
                raise _too_short(end, start_s, settings)
            fps = written.n_frames / written.shown_s
            return _facts(temporary, written.n_frames, span, fps, copied=False, dropped=written.dropped)


def _too_short(end_s: float, start_s: float, settings: TrimSettings) -> ClipFailure:
    where = f" from {start_s:g} s on" if start_s else ""
    return ClipFailure(
        FailureClass.MEDIA,
        f"too short: the video ends at {end_s:.2f} s; at least {settings.min_seconds:g} s{where} are needed",
    )


@dataclass(frozen=True)
class _Written:
    """What `_write` has encoded.

    Attributes:
        n_frames: number of frames.
        shown_s: seconds that they are shown; the last one until the next one, which may be beyond the span.
        ended: reading ended before the span did.
        dropped: frames left out because their times go back.
    """

    n_frames: int
    shown_s: float
    ended: bool
    dropped: int


def _write(
    container: InputContainer,
    stream: VideoStream,
    target: Path,
    settings: TrimSettings,
    start_s: float,
    seconds: float,
) -> _Written:
    """Encode the frames of the span."""
    interval = 1 / frame_rate(stream)
    deadline = time.monotonic() + settings.timeout_s
    reformatter = VideoReformatter()
    tolerance = min(interval / 4, _ROUNDING_S)
    first = last = shown = 0.0  # `shown`: seconds from the first frame to the end of the last
    ended = True
    n_frames = corrupt = dropped = 0
    with av.open(str(target), "w", options={"movflags": "+faststart"}) as output:
        encoder = None
        upright = None
        kept = JFIF
        for at, frame in timed_frames(container, stream, start_s):
            # Before the first frame is kept as well: without an index all frames before it are decoded.
            if time.monotonic() > deadline:
                raise ClipFailure(FailureClass.MEDIA, f"decoding took longer than {settings.timeout_s:g} s")
            if at < start_s - tolerance:
                continue
            if n_frames and at - first >= seconds - tolerance:
                ended, shown = False, min(at - first, seconds)
                break
            if n_frames and at == last:
                at += interval / 2  # two pictures of one time, as in VOB files of MPEG-4: both are kept
            if encoder is None or upright is None:
                first, size = at, stored_size(frame, stream, settings.short_side)
                upright = _Upright(Orientation.of(frame), *size)
                kept = stored_colours(Colours.of(frame))
                encoder = output.add_stream(
                    "libx264",
                    rate=Fraction(1 / interval).limit_denominator(1001),
                    width=upright.width,
                    height=upright.height,
                    pix_fmt="yuv420p",
                    time_base=_TIME_BASE,
                    options={"crf": str(settings.crf), "preset": settings.preset, **_SAME_EVERYWHERE},
                )
                kept.tag(encoder.codec_context)
            elif at <= last:
                dropped += 1  # shown before the one already kept: broken times
                continue
            corrupt += frame.is_corrupt
            small = scaled(reformatter, frame, size, Colours.of(frame), kept)
            turned = upright(small)
            turned.pts = round((at - first) / _TIME_BASE)
            turned.time_base = _TIME_BASE
            turned.pict_type = 0  # the source's picture types are not ours
            output.mux(encoder.encode(turned))
            last, n_frames = at, n_frames + 1
            shown = min(at - first + _duration(frame), seconds)
        if encoder is None:
            raise ClipFailure(FailureClass.MEDIA, f"no picture from {start_s:g} s on")
        if corrupt > n_frames // 20:
            raise ClipFailure(FailureClass.MEDIA, f"{corrupt} of {n_frames} frames are damaged")
        output.mux(encoder.encode(None))
    return _Written(n_frames, max(last - first + interval, shown), ended, dropped)


def _duration(frame: VideoFrame) -> float:
    """Return seconds that the file states for the frame; 0 if it does not."""
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0


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
    """Rotation and mirroring of frames. `width`, `height`: of the picture after turning."""

    def __init__(self, orientation: Orientation, width: int, height: int) -> None:
        steps: list[tuple[str, str | None]] = []
        if orientation.transposed:
            steps.append(("transpose", "dir=cclock_flip"))
        steps += [("hflip", None)] * orientation.flip_x + [("vflip", None)] * orientation.flip_y
        self.width, self.height = orientation.size(width, height)
        self._graph = None
        if steps:
            self._graph = av.filter.Graph()
            node = self._graph.add_buffer(
                width=width, height=height, format=VideoFormat("yuv420p"), time_base=_TIME_BASE
            )
            for name, arguments in steps:
                turn = self._graph.add(name, arguments)
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


def _copied(source: Path, target: Path, settings: TrimSettings, seconds: float) -> TrimmedClip | None:
    """`_copy`; None as well where the muxer refuses the packets, as it does where the clock of the file goes back."""
    try:
        return _copy(source, target, settings, seconds)
    except av.error.FFmpegError as error:
        if error.errno in _FAULTS_OF_THE_DISK:
            raise
        return None


def _copy(source: Path, target: Path, settings: TrimSettings, seconds: float) -> TrimmedClip | None:
    """Take the packets over where nothing has to change; None if it has to, or where the copy does not hold."""
    container, stream = open_video(source)
    with container:
        context = stream.codec_context
        interval = 1 / frame_rate(stream)
        end = stated_end(container, stream)
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
    """Return facts about a copy after decoding all of it; None if that shows anything but whole, upright frames."""
    container, stream = open_video(path)
    with container:
        times = []
        for at, frame in timed_frames(container, stream, 0.0):
            if frame.is_corrupt or Orientation.of(frame) != UPRIGHT:
                return None
            times.append(at)
        if len(times) != packets or abs(times[-1] - times[0] + interval - end_s) > max(0.5, 2 * interval):
            return None
    duration_s = times[-1] - times[0] + interval
    return _facts(path, len(times), duration_s, len(times) / duration_s, copied=True)


def _facts(path: Path, n_frames: int, duration_s: float, fps: float, *, copied: bool, dropped: int = 0) -> TrimmedClip:
    container, stream = open_video(path)
    with container:
        context = stream.codec_context
        return TrimmedClip(
            width=context.width,
            height=context.height,
            fps=round(fps, 4),
            n_frames=n_frames,
            duration_s=round(duration_s, 4),
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
            copied=copied,
            dropped=dropped,
        )
