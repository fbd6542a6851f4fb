"""Joined segments: where the clock of a file restarts, all pictures are kept in order."""

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from ssat.clips.trim import TrimSettings, trim_clip
from tests.ssat.clips.conftest import number_picture

_SIZE = (160, 96)
_SETTINGS = TrimSettings(seconds=10.0, min_seconds=0.5, short_side=96, preset="ultrafast")
_PAIRS = [
    ("ts", "libx264", 0),
    ("ts", "libx264", 2),
    ("ts", "mpeg2video", 2),
    ("mpg", "mpeg2video", 2),
    ("mpg", "libx264", 0),
]


def _segment(path: Path, numbers: range, codec: str, b_frames: int = 0) -> bytes:
    """Numbered frames at 25 fps, on a clock that begins anew."""
    with av.open(str(path), "w") as output:
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
