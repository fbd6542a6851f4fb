"""Read an untrusted video file: its stream, its rate, its stated length, its frames with times."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ssat.video.parts import Part, video_parts

# Larger pictures are refused before they are decoded: a few bytes can ask for gigabytes.
_MAX_PIXELS = 8192 * 8192
_MAX_BROKEN_PACKETS = 100
# Containers without an index and with a clock that wraps around: they are read from their beginning, and packets are
# skipped undecoded until the last key frame before the start.
_WITHOUT_INDEX = {"mpegts", "mpeg", "mpegvideo"}
# Where the clock of one of these restarts, a seek by time leads to the wrong place: they are read in the same way.
_READ_FROM_BEGINNING = {*_WITHOUT_INDEX, "flv", "m4v", "h264", "hevc"}
_CLOCK_S = 2**33 / 90_000  # their clock starts again at 0 after this many seconds
# These containers store decoding order only, no presentation times.
_DECODING_TIMES = {"asf", "mxf"}
_MAX_HELD_BYTES = 64 << 20  # of packets since a key frame; beyond it they are decoded at once
_MAX_JUMP_S, _MAX_BACK_S = 10.0, 1.0  # beyond these steps ahead and back a clock has restarted
_SOONEST_S = 2.0  # the first step backwards where a seek came too late; doubled with every further one


class VideoError(ValueError):
    """The file is not a video that can be used; the message gives the reason, in one line."""


def open_video(source: Path, part: Part | None = None) -> tuple[InputContainer, VideoStream]:
    """Open the file and choose its main video stream, see `main_stream`.

    The caller closes the file.

    Args:
        part: read these bytes alone; by default the first of the videos that are joined in the file.

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
    if part is None:
        parts = _parts(source)
        part = parts[0] if len(parts) > 1 else None
    if part is None:
        container = av.open(str(source), options={"protocol_whitelist": "file"})
    else:
        address = f"subfile,,start,{part.start},end,{part.end},,:{source.absolute()}"
        container = av.open(address, options={"protocol_whitelist": "file,subfile"})
    try:
        stream = main_stream(container)
        if stream.codec_context.width * stream.codec_context.height > _MAX_PIXELS:
            raise VideoError(f"{stream.codec_context.width}x{stream.codec_context.height} is too large")
    except BaseException:
        container.close()
        raise
    return container, stream


def main_stream(container: InputContainer) -> VideoStream:
    """Return the video stream that ffmpeg would choose: the largest that is no cover and no still.

    Raises:
        VideoError: there is none, or no decoder for it.
    """
    # Cover pictures of audio files are video streams too.
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        raise VideoError("no video stream" + (", only sound" if container.streams.audio else ""))
    stream = max(streams, key=_preference)
    if stream.codec_context is None:
        raise VideoError("no decoder for its video stream")
    return stream


def _preference(stream: VideoStream) -> tuple[bool, bool, int]:
    """What ffmpeg prefers: a stream that can be decoded, one that moves, then the number of pixels, where the default
    stream is worth 5 million more."""
    still = bool(stream.disposition & stream.disposition.still_image)
    default = bool(stream.disposition & stream.disposition.default)
    context = getattr(stream, "codec_context", None)  # None: no decoder
    pixels = context.width * context.height if context else 0
    return context is not None, not still, pixels + 5_000_000 * default


def frame_rate(stream: VideoStream) -> float:
    """Return frames per second, as well as the file says; 30 where it says nothing sensible."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 1 <= rate <= 1000:
            return float(rate)
    return 30.0


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def joined_parts(container: InputContainer) -> tuple[Part, ...]:
    """Return the videos that are joined in the opened file; empty if it holds a single one."""
    if not container.name.startswith("subfile,"):
        return ()
    return _parts(_path_of(container))


def _parts(path: Path) -> tuple[Part, ...]:
    try:
        return video_parts(path)
    except OSError as error:
        raise VideoError(f"the file cannot be read: {error.strerror}") from error


def _path_of(container: InputContainer) -> Path:
    return Path(container.name.split(",,:", 1)[-1])


def stated_end(container: InputContainer, stream: VideoStream) -> float | None:
    """Return seconds after the first frame at which the file says that its pictures end; None if it does not say."""
    if joined_parts(container):
        return None  # the first one speaks for itself
    if container.format.name in _WITHOUT_INDEX:
        return None  # libavformat estimates it from the last times that it finds near the file's end
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    # The duration of the container may be that of its sound.
    if container.duration and not container.streams.audio:
        return container.duration / av.time_base
    return None


def timed_frames(container: InputContainer, stream: VideoStream, start_s: float) -> Iterator[tuple[float, VideoFrame]]:
    """(seconds since the first frame of the video, frame), beginning with a frame shown at `start_s` or before it.

    `container` has to be newly opened. The frames before `start_s` that are yielded reach back to a key frame. Where
    the first picture after a seek is later than `start_s` (no index, a wrong one, or a key frame whose earlier
    neighbours need the pictures before it), the seek is repeated further back, down to the beginning.

    Where the clock restarts, as in joined segments, the times go on from the picture before. Containers with an index
    are only read that way from their beginning. Whole videos in one file follow each other in the same way.
    """
    if parts := joined_parts(container):
        yield from _frames_of_parts(_path_of(container), parts, stream.thread_type)
    else:
        yield from _frames_of_one(container, stream, start_s)


def _frames_of_one(
    container: InputContainer, stream: VideoStream, start_s: float
) -> Iterator[tuple[float, VideoFrame]]:
    clock = _Clock(container, stream)
    packets = _continuous(container, stream)
    if start_s <= 0:
        yield from clock.frames(packets)
        return
    start = list(_until_first_frame(clock, packets))
    if container.format.name in _READ_FROM_BEGINNING:
        attempts = iter([_packets_from(clock, packets, start, start_s)])
    elif clock.counts_all:
        attempts = iter([])
    else:
        attempts = _seeks(container, stream, clock, start_s)
    for attempt in attempts:
        stream.codec_context.flush_buffers()
        clock.restart()
        frames = clock.frames(attempt)
        # Pictures that come before the first key frame may lack what they refer to.
        first = next(((at, frame) for at, frame in frames if frame.key_frame or at > start_s), None)
        if first is not None and first[1].key_frame and first[0] <= start_s:
            yield first
            yield from frames
            return
    whole, its_stream = open_video(Path(container.name))
    with whole:
        its_stream.thread_type = stream.thread_type
        yield from _Clock(whole, its_stream).frames(_continuous(whole, its_stream))


def _frames_of_parts(path: Path, parts: Iterable[Part], thread_type: ThreadType) -> Iterator[tuple[float, VideoFrame]]:
    shift = 0.0
    for part in parts:
        container, stream = open_video(path, part)
        with container:
            stream.thread_type = thread_type
            end = shift
            for at, frame in _frames_of_one(container, stream, 0.0):
                end = max(end, shift + at)
                yield shift + at, frame
            shift = end + 1 / frame_rate(stream)


class _Clock:
    """Times of packets and frames of one stream, in seconds since its first frame; unwraps a clock that wraps."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        # AVI stores no presentation times and those that are made up go backwards at B-frames. Its frames come at a
        # fixed rate, so they are counted: from a key frame's packet on, or all of them where B-frames change the order.
        self._counted = container.format.name == "avi"
        reordered = bool(stream.codec_context.has_b_frames)
        # The first frame has the first packet's time, and so on.
        self._queue: list[float] | None = [] if reordered and container.format.name in _DECODING_TIMES else None
        self.counts_all = reordered and (self._counted or self._queue is not None)
        self._wraps = container.format.name in _WITHOUT_INDEX
        self._base = _time_base(stream)
        self._interval = 1 / frame_rate(stream)
        self.origin: float | None = None
        self._last: float | None = None
        self._broken = 0
        self._near: float | None = None  # seconds on the stream's clock, unwrapped, of the last packet
        self._first: float | None = None  # of the first packet

    def restart(self) -> None:
        """Forget the last frame's time: the packets that come next are of another place."""
        self._last = None

    def of_packet(self, packet: Packet[VideoStream]) -> float | None:
        """When the packet's picture is shown; None if the packet does not say, or nothing was shown yet."""
        if packet.pts is None or self.origin is None:
            return None
        self._near = self._unwrapped(float(packet.pts * self._base))
        return self._near - self.origin

    def seek_time(self, at_s: float) -> int:
        """`at_s` seconds after the first frame, in units of the stream's clock."""
        return int((at_s + (self.origin or 0.0)) / self._base)

    def frames(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[tuple[float, VideoFrame]]:
        """Decode `packets`."""
        for packet in packets:
            if packet.dts is not None:
                at = float(packet.dts * self._base)
                self._near = self._unwrapped(at)
                self._first = at if self._first is None else self._first
                if self._queue is not None:
                    heapq.heappush(self._queue, at)
                if self._last is None and self.origin is not None:
                    self._last = at - self.origin - self._interval
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                self._broken += 1
                if self._broken > _MAX_BROKEN_PACKETS:
                    raise
                continue
            for frame in decoded:
                yield self._of_frame(frame), frame

    def _of_frame(self, frame: VideoFrame) -> float:
        time = None if self._counted or frame.time is None else self._unwrapped(frame.time)
        if self._queue is not None:
            time = heapq.heappop(self._queue) if self._queue else None
        if self.origin is None:
            self.origin = time if time is not None else self._first or 0.0
            self._last = 0.0
            return 0.0
        counted = (-self._interval if self._last is None else self._last) + self._interval
        self._last = counted if time is None else time - self.origin
        return self._last

    def _unwrapped(self, time: float) -> float:
        if not self._wraps or self._near is None:
            return time
        return time + round((self._near - time) / _CLOCK_S) * _CLOCK_S


def _continuous(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets in order of the file, with times that go on where the clock restarts.

    The clock restarts where it goes back at a key frame or, in containers without an index, jumps ahead by more than
    10 s (as in ffmpeg). Elsewhere only a step back of more than 1 s counts: smaller ones come from broken times, and a
    jump ahead is a picture that stands still, such as a slide.
    """
    most_ahead_s = _MAX_JUMP_S if container.format.name in _WITHOUT_INDEX else math.inf
    base = _time_base(stream)
    interval = max(1, round(1 / frame_rate(stream) / base))
    wrap = round(_CLOCK_S / base)
    shift = 0
    last: int | None = None  # decoding time of the last packet, by the file's clock
    end: int | None = None  # of the pictures so far, by the clock that continues
    untimed = 0  # packets without times since the last one that has them
    for packet in container.demux(stream):
        if packet.dts is not None:
            if last is not None and end is not None:
                step = (packet.dts - last + wrap // 2) % wrap - wrap // 2  # a clock that wraps around continues
                at_key_frame = packet.is_keyframe and (
                    step < 0 or step * base > most_ahead_s or (step == 0 and untimed)
                )
                if at_key_frame or step < -_MAX_BACK_S / base:
                    shift = end + untimed * interval - (packet.dts if packet.pts is None else packet.pts)
            last = packet.dts
            packet.dts += shift
        if packet.pts is not None:
            packet.pts += shift
            end = packet.pts + interval if end is None else max(end, packet.pts + interval)
            untimed = 0
        elif packet.dts is None and packet.size:
            untimed += 1
        yield packet


def _until_first_frame(clock: _Clock, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Yield the packets up to the first frame, which sets the origin of `clock`."""
    for packet in packets:
        yield packet
        if any(True for _ in clock.frames([packet])):
            return


def _seeks(
    container: InputContainer, stream: VideoStream, clock: _Clock, start_s: float
) -> Iterator[Iterator[Packet[VideoStream]]]:
    """Yield packets from the key frame before `start_s` on, then from earlier and earlier ones."""
    back = 0.0
    while back < start_s:
        try:
            container.seek(clock.seek_time(start_s - back), stream=stream, backward=True)
        except av.error.FFmpegError:
            return
        yield container.demux(stream)
        back = max(_SOONEST_S, 2 * back)


def _packets_from(
    clock: _Clock, packets: Iterator[Packet[VideoStream]], start: list[Packet[VideoStream]], start_s: float
) -> Iterator[Packet[VideoStream]]:
    """Yield the packets from the last key frame shown at `start_s` or before; `start`: those already read."""
    held: list[Packet[VideoStream]] = []
    size = 0
    packets = itertools.chain(start, packets)
    for packet in packets:
        at = clock.of_packet(packet)
        if packet.is_keyframe and at is not None and at <= start_s:
            held, size = [], 0
        held.append(packet)
        size += packet.size
        if (at is not None and at > start_s) or size > _MAX_HELD_BYTES:
            break
    yield from held
    yield from packets
