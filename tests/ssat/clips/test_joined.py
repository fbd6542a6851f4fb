"""Joined segments: where the clock of a file restarts, all pictures are kept in order."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from ssat.clips.trim import TrimSettings, trim_clip
from ssat.video.parts import Part, video_parts
from ssat.video.sources import VideoSource
from tests.ssat.clips.conftest import number_picture

_SIZE = (160, 96)
_SETTINGS = TrimSettings(seconds=10.0, min_seconds=0.5, short_side=96, preset="ultrafast")
_PAIRS = [
    ("ts", "libx264", 0),
    ("ts", "libx264", 2),
    ("ts", "mpeg2video", 2),
    ("mpg", "mpeg2video", 2),
    ("mpg", "libx264", 0),
    ("mp4", "libx264", 2),
    ("mov", "mpeg4", 2),
    ("3gp", "libx264", 0),
    ("flv", "libx264", 2),
    ("flv", "flv1", 0),
    ("mkv", "libx264", 2),
    ("webm", "libvpx", 0),
    ("wmv", "mpeg4", 0),
    ("avi", "mpeg4", 0),
]


def _segment(path: Path, numbers: range, codec: str, b_frames: int = 0, options: dict[str, str] | None = None) -> bytes:
    """Numbered frames at 25 fps, on a clock that begins anew."""
    with av.open(str(path), "w", options=options or {}) as output:
        stream = output.add_stream(codec, rate=25, width=_SIZE[0], height=_SIZE[1], pix_fmt="yuv420p")
        stream.codec_context.gop_size = 13
        stream.codec_context.max_b_frames = b_frames
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "x264-params": f"bframes={b_frames}:scenecut=0"}
        stream.bit_rate = 600_000
        for number in numbers:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(number_picture(number, *_SIZE, 90), format="rgb24")))
        output.mux(stream.encode(None))
    return path.read_bytes()


def _moved(folder: Path, numbers: range, time_of: Callable[[int], int]) -> Path:
    """An FLV file whose pictures have other times: `time_of` milliseconds."""
    content = bytearray(_segment(folder / "v.flv", numbers, "libx264"))
    at = 13  # a header of 9 bytes, then 4 bytes of size before each tag
    while at < len(content):
        kind, size = content[at], int.from_bytes(content[at + 1 : at + 4], "big")
        if kind == 9:
            content[at + 4 : at + 7] = time_of(int.from_bytes(content[at + 4 : at + 7], "big")).to_bytes(3, "big")
        at += 11 + size + 4
    (folder / "v.flv").write_bytes(content)
    return folder / "v.flv"


@pytest.mark.parametrize(("suffix", "codec", "b_frames"), _PAIRS)
def test_all_pictures_of_joined_segments_are_kept_in_order(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path, suffix: str, codec: str, b_frames: int
) -> None:
    joined = tmp_path / f"joined.{suffix}"
    parts = [
        _segment(tmp_path / f"{first}.{suffix}", range(first, first + 40), codec, b_frames) for first in (0, 40, 80)
    ]
    joined.write_bytes(b"".join(parts))
    for start, numbers in ((0.0, range(120)), (1.0, range(25, 120)), (2.4, range(60, 120)), (3.6, range(90, 120))):
        clip = trim_clip(joined, tmp_path / "clip.mp4", _SETTINGS, start_s=start)
        assert shown_numbers(tmp_path / "clip.mp4") == list(numbers), start
        assert clip.duration_s == pytest.approx(len(numbers) / 25, abs=0.01)


def test_segments_of_flv_without_headers_between_them(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path
) -> None:
    video = _moved(tmp_path, range(60), lambda ms: ms - 1560 if ms >= 1560 else ms)
    clip = trim_clip(video, tmp_path / "clip.mp4", _SETTINGS, start_s=1.2)
    assert clip.dropped == 0
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(30, 60))


def test_an_index_at_the_end_and_a_streamed_file(shown_numbers: Callable[[Path], list[int]], tmp_path: Path) -> None:
    parts = []
    for first, options in ((0, {"movflags": "+faststart"}), (40, {"movflags": "frag_keyframe+empty_moov"}), (80, {})):
        parts.append(_segment(tmp_path / f"{first}.mp4", range(first, first + 40), "libx264", 0, options))
    (tmp_path / "joined.mp4").write_bytes(b"".join(parts))
    trim_clip(tmp_path / "joined.mp4", tmp_path / "clip.mp4", _SETTINGS, start_s=1.0)
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(25, 120))


def test_a_single_video_has_one_part(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "flv", "wmv", "avi"):
        path = tmp_path / f"one.{suffix}"
        content = _segment(path, range(30), "mpeg4" if suffix in ("wmv", "avi") else "libx264")
        assert video_parts(path) == (Part(0, len(content)),)
        path.write_bytes(content[: len(content) // 2])  # cut off
        assert video_parts(path) == (Part(0, len(content) // 2),)


def test_joined_videos_are_tracked_as_one(tmp_path: Path) -> None:
    parts = [_segment(tmp_path / f"{first}.mp4", range(first, first + 10), "libx264") for first in (0, 10)]
    (tmp_path / "joined.mp4").write_bytes(b"".join(parts))
    source = VideoSource.open(tmp_path / "joined.mp4")
    assert source.n_frames is None
    assert [number for number, _ in source] == list(range(1, 21))
    assert source.notes == ["2 videos are joined in this file; they are read as one, in order"]


def test_where_the_muxer_refuses_the_packets_the_clip_is_encoded(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path
) -> None:
    # Frame 39 is a key frame: from there on the clock begins anew.
    video = _moved(tmp_path, range(60), lambda ms: ms - 1560 if ms >= 1560 else ms)
    clip = trim_clip(video, tmp_path / "clip.mp4", _SETTINGS)
    assert (clip.copied, clip.dropped) == (False, 0)
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(60))


def test_pictures_whose_times_go_back_are_counted(shown_numbers: Callable[[Path], list[int]], tmp_path: Path) -> None:
    video = _moved(tmp_path, range(60), lambda ms: ms - 400 if 1200 <= ms <= 1240 else ms)  # frames 30 and 31
    clip = trim_clip(video, tmp_path / "clip.mp4", _SETTINGS)
    assert clip.dropped == 2
    assert shown_numbers(tmp_path / "clip.mp4") == [number for number in range(60) if number not in (30, 31)]
