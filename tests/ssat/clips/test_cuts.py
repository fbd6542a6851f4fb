"""Exact cuts: the first frame of a clip is the first one shown at its start, whatever the container and codec."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ssat.clips.trim import TrimSettings, trim_clip
from ssat.video.untrusted import VideoError, open_video, timed_frames
from tests.ssat.clips.conftest import number_picture, read_number

_FPS = 25
_FRAMES = 60
_SIZE = (160, 96)
_GOP = 13
_OPEN_GOP = "open-gop=1:bframes=2:keyint=13:min-keyint=13:scenecut=0"
_X264 = ("libx264", 2, {"preset": "ultrafast", "x264-params": _OPEN_GOP})
_CODECS = {
    "h264": ("libx264", 0, {"preset": "ultrafast"}),
    "h264 open GOP": _X264,
    "hevc open GOP": ("libx265", 2, {"preset": "ultrafast", "x265-params": f"{_OPEN_GOP}:log-level=error"}),
    "mpeg4": ("mpeg4", 0, {}),
    "mpeg4 B-frames": ("mpeg4", 2, {}),
    "mpeg2 B-frames": ("mpeg2video", 2, {}),
    "mpeg1 B-frames": ("mpeg1video", 2, {}),
    "vp8": ("libvpx", 0, {"deadline": "realtime", "cpu-used": "8"}),
    "vp9": ("libvpx-vp9", 0, {"deadline": "realtime", "cpu-used": "8"}),
    "flv1": ("flv", 0, {}),
    "wmv2": ("wmv2", 0, {}),
    "ffv1": ("ffv1", 0, {}),
    "gif": ("gif", 0, {}),
}
_MPEG = ("h264", "h264 open GOP", "hevc open GOP", "mpeg4 B-frames", "mpeg2 B-frames", "mpeg1 B-frames")
_PAIRS = {
    "mp4": (*_MPEG, "mpeg4", "vp9"),
    "mov": ("h264 open GOP", "mpeg4 B-frames", "mpeg2 B-frames"),
    "mkv": (*_MPEG, "vp8", "ffv1"),
    "webm": ("vp8", "vp9"),
    "avi": (*(name for name in _MPEG if name != "hevc open GOP"), "mpeg4", "vp8", "ffv1"),
    "flv": ("h264", "h264 open GOP", "flv1"),
    "ts": _MPEG,
    "mpg": _MPEG,
    "vob": ("mpeg2 B-frames", "h264 open GOP", "mpeg4"),
    "asf": ("h264 open GOP", "mpeg2 B-frames", "wmv2"),
    "mxf": ("h264 open GOP", "mpeg2 B-frames"),
    "nut": ("h264 open GOP", "mpeg4 B-frames"),
    "3gp": ("h264 open GOP", "mpeg4 B-frames"),
    "m4v": ("h264 open GOP",),
    "m2ts": ("h264 open GOP", "mpeg2 B-frames"),
    "wmv": ("wmv2",),
    "ogv": ("vp8",),
    "gif": ("gif",),
}


def _write(path: Path, codec: str, *, fps: int = _FPS, frames: int = _FRAMES, offset: int = 0) -> Path:
    """`frames` numbered frames; the clock of the file begins at frame `offset`."""
    name, b_frames, options = _CODECS[codec]
    with av.open(str(path), "w") as output:
        stream = output.add_stream(name, rate=fps, width=_SIZE[0], height=_SIZE[1], options=options)
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.gop_size = _GOP
        stream.codec_context.max_b_frames = b_frames
        stream.bit_rate = 600_000
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(number_picture(number, *_SIZE, 90), format="rgb24")
            frame.pts, frame.time_base = offset + number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _first_shown(path: Path, start_s: float) -> int:
    """The number of the first frame shown at `start_s` or later."""
    container, stream = open_video(path)
    with container:
        for at, frame in timed_frames(container, stream, start_s):
            if at >= start_s - 0.0015:
                return read_number(frame.to_ndarray(format="rgb24"))
    return -1


# Key frames are frames 0, 13, 26 and so on: at 0.52 s and 1.04 s.
@pytest.mark.parametrize(("suffix", "codec"), [(suffix, codec) for suffix in _PAIRS for codec in _PAIRS[suffix]])
def test_a_cut_begins_with_the_first_frame_shown_at_its_start(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path, suffix: str, codec: str
) -> None:
    video = _write(tmp_path / f"video.{suffix}", codec)
    starts = [0.0, 0.04, 0.48, 0.5, 0.52, 0.56, 1.0, 1.04, 1.1, 1.6]
    wanted = [-(-round(1000 * start) // 40) for start in starts]
    assert [_first_shown(video, start) for start in starts] == wanted
    settings = TrimSettings(seconds=1.0, min_seconds=0.5, short_side=96, preset="ultrafast")
    trim_clip(video, tmp_path / "clip.mp4", settings, start_s=1.0)
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(25, 50))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mpg", "flv", "nut"])
def test_a_clock_that_does_not_begin_at_zero(tmp_path: Path, suffix: str) -> None:
    video = _write(tmp_path / f"video.{suffix}", "h264 open GOP", offset=_FPS * 3600)
    assert [_first_shown(video, start) for start in (0.0, 0.48, 0.52, 1.1)] == [0, 12, 13, 28]


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
@pytest.mark.parametrize("before", [5, 80])
def test_a_clock_of_33_bits_that_wraps_around(tmp_path: Path, suffix: str, before: int) -> None:
    # A frame a second. libavformat recognises a clock that wraps within the first minute.
    video = _write(tmp_path / f"video.{suffix}", "h264", fps=1, frames=110, offset=2**33 // 90_000 - before)
    assert [_first_shown(video, start) for start in (0, 3, 13, 79, 80, 81, 91, 100)] == [0, 3, 13, 79, 80, 81, 91, 100]


def test_a_stream_that_no_decoder_knows_is_no_video(tmp_path: Path) -> None:
    # MPEG program streams do not name the codec of VP9.
    video = _write(tmp_path / "video.mpg", "vp9")
    with pytest.raises(VideoError, match="no decoder for its video stream"):
        open_video(video)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_picture_that_stands_still_lasts_until_the_next(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"still.{suffix}"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25, width=_SIZE[0], height=_SIZE[1], pix_fmt="yuv420p")
        for number, at in enumerate([*range(50), 500, 501]):  # it moves for 2 s, stands still for 18 s, and moves
            frame = av.VideoFrame.from_ndarray(number_picture(number, *_SIZE, 90), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    clip = trim_clip(path, tmp_path / "clip.mp4", TrimSettings(seconds=10.0))
    assert (clip.n_frames, clip.duration_s) == (50, 10.0)
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(50))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_slides_keep_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"slides{suffix}"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number * 150, Fraction(1, 10)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    container, stream = open_video(path)
    with container:
        times = [at for at, _ in timed_frames(container, stream, 0.0)]
    assert times[:4] == pytest.approx([0, 15, 30, 45])
