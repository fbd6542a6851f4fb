import csv
import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ssat.clips.failures import ClipFailure, FailureClass
from ssat.clips.trim import TrimSettings, trim_clip


@pytest.mark.parametrize("start", [0.0, 1.5, 2.0, 3.4])
def test_the_clip_begins_at_the_very_frame_and_has_the_exact_number(
    make_video: Callable[..., Path], shown_numbers: Callable[[Path], list[int]], tmp_path: Path, start: float
) -> None:
    video = make_video(frames=240, fps=30, size=(480, 288))
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=4.0), start_s=start)
    first = round(start * 30)
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(first, first + 120))
    assert (clip.n_frames, clip.fps, clip.duration_s) == (120, 30.0, 4.0)
    assert (clip.width, clip.height) == (426, 256)
    assert not clip.copied


def test_ten_seconds_are_300_frames_at_30_fps_and_600_at_60(make_video: Callable[..., Path], tmp_path: Path) -> None:
    for fps, n_frames in ((30, 300), (60, 600), (25, 250)):
        video = make_video(frames=12 * fps, fps=fps, size=(160, 96))
        clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings())
        assert (clip.n_frames, clip.fps, clip.duration_s) == (n_frames, fps, 10.0)


def test_the_frame_rate_is_that_of_the_video_where_the_last_frame_outlasts_the_clip(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    _write_noise(video, Fraction(24000, 1001), 100, "mpeg4", {})
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=3.0))
    assert (clip.n_frames, clip.fps, clip.duration_s) == (72, 23.976, 3.0)


def test_an_encoded_clip_is_the_same_with_and_without_vector_instructions(tmp_path: Path) -> None:
    # A width that is no multiple of 16, and enough motion for the lookahead to weigh macroblocks.
    video, reference = tmp_path / "video.avi", tmp_path / "reference.mp4"
    _write_noise(video, Fraction(30), 90, "ffv1", {})
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    options = {"crf": "19", "preset": "veryfast", "threads": "1", "x264-params": "cpu-independent=1:asm=0"}
    with av.open(str(reference), "w") as output:
        stream = output.add_stream("libx264", rate=30, width=120, height=72, pix_fmt="yuv420p", options=options)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=3.0))
    np.testing.assert_array_equal(_pictures(tmp_path / "clip.mp4"), _pictures(reference))


def _pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


def _write_noise(path: Path, rate: Fraction, frames: int, codec: str, options: dict[str, str]) -> None:
    """A textured picture of 120x72 pixels that moves, with noise."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (200, 400), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, width=120, height=72, pix_fmt="yuv420p", options=options)
        for number in range(frames):
            picture = np.full((108, 120), 128, np.uint8)
            picture[:72] = texture[number : number + 72, 2 * number : 2 * number + 120] // 2
            picture[:72] += rng.integers(0, 30, (72, 120), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mov"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_containers_with_rough_or_no_times_keep_every_frame(
    make_video: Callable[..., Path], shown_numbers: Callable[[Path], list[int]], tmp_path: Path, name: str, codec: str
) -> None:
    video = make_video(name, frames=200, codec=codec)
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings(), start_s=2.0)
    assert clip.n_frames == 140
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(60, 200))


def test_a_span_that_the_list_ends_earlier_is_shorter(make_video: Callable[..., Path], tmp_path: Path) -> None:
    clip = trim_clip(make_video(frames=300), tmp_path / "clip.mp4", TrimSettings(), start_s=2.0, end_s=7.0)
    assert clip.n_frames == 150


def test_a_video_shorter_than_asked_is_taken_whole_from_three_seconds_up(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    assert trim_clip(make_video(frames=90), tmp_path / "clip.mp4", TrimSettings()).n_frames == 90
    with pytest.raises(ClipFailure, match=r"too short: the video ends at 2\.9"):
        trim_clip(make_video(frames=88), tmp_path / "no.mp4", TrimSettings())
    with pytest.raises(ClipFailure, match="too short"):
        trim_clip(make_video(frames=120), tmp_path / "no.mp4", TrimSettings(), start_s=61.0)
    with pytest.raises(ClipFailure, match=r"too short.*from 2 s on"):
        trim_clip(make_video(frames=120), tmp_path / "no.mp4", TrimSettings(), start_s=2.0)
    assert [path.name for path in tmp_path.glob("*no*")] == []


def test_small_h264_is_copied_without_its_sound(
    make_video: Callable[..., Path], shown_numbers: Callable[[Path], list[int]], tmp_path: Path
) -> None:
    video = make_video(frames=120, sound=True)
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings())
    assert clip.copied
    assert clip.n_frames == 120
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(120))
    with av.open(str(video)) as before, av.open(str(tmp_path / "clip.mp4")) as after:
        assert not after.streams.audio
        packets = [[bytes(packet) for packet in file.demux(video=0) if packet.size] for file in (before, after)]
        assert packets[0] == packets[1]


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_metadata_is_honoured(make_video: Callable[..., Path], tmp_path: Path, rotation: int) -> None:
    video = make_video(frames=100, size=(320, 192), rotation=rotation)
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings())
    assert not clip.copied
    assert (clip.width, clip.height) == ((320, 192) if rotation == 180 else (192, 320))
    with av.open(str(video)) as before, av.open(str(tmp_path / "clip.mp4")) as after:
        source = next(before.decode(video=0))
        turned = next(after.decode(video=0))
        assert source.rotation in (rotation, -180 if rotation == 180 else rotation)
        assert turned.rotation == 0
        # rot90 turns counter-clockwise, as the metadata counts.
        expected = np.rot90(source.to_ndarray(format="rgb24"), rotation // 90).astype(int)
        assert np.abs(turned.to_ndarray(format="rgb24").astype(int) - expected).mean() < 4


def test_odd_sizes_become_even_and_nothing_is_enlarged(make_video: Callable[..., Path], tmp_path: Path) -> None:
    video = make_video("odd.mkv", frames=100, size=(175, 143), codec="ffv1")
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings())
    assert (clip.width, clip.height) == (174, 142)


def test_what_is_no_video_says_so(
    make_video: Callable[..., Path], make_sound: Callable[..., Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("youtube_id,time_start\n" * 100)
    cut = tmp_path / "cut.mp4"
    whole = make_video(frames=300, size=(640, 384)).read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    for path, words in (
        (empty, "0 bytes"),
        (text, "not a readable video"),
        (cut, "not a readable video"),
        (make_sound(), "no video stream, only sound"),
    ):
        with pytest.raises(ClipFailure, match=words) as caught:
            trim_clip(path, tmp_path / "clip.mp4", TrimSettings())
        assert caught.value.failure_class is FailureClass.MEDIA
    assert not (tmp_path / "clip.mp4").exists()


def test_a_download_cut_off_behind_its_index_is_not_taken_for_a_short_video(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    # trim_clip writes the index first, as web servers like it: such a file opens well when its end is missing.
    trim_clip(make_video(frames=300, size=(640, 384)), tmp_path / "whole.mp4", TrimSettings())
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ClipFailure, match=r"cut off: pictures end at .* of the 10.0 s stated"):
        trim_clip(tmp_path / "cut.mp4", tmp_path / "clip.mp4", TrimSettings())


@pytest.mark.real_data
def test_real_originals_give_exactly_the_frames_of_their_rate(real_data: Path, tmp_path: Path) -> None:
    with (real_data / "clips" / "original.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        source = real_data / "clips" / "original" / row["file"]
        target = tmp_path / f"{row['file']}.mp4"
        fps = float(row["fps"])
        if float(row["duration_s"]) < 3:
            with pytest.raises(ClipFailure, match="too short"):
                trim_clip(source, target, TrimSettings())
        clip = trim_clip(source, target, TrimSettings(seconds=1.0, min_seconds=1.0, preset="ultrafast"))
        # A second: 30 frames at 30 fps, 60 at 60 and 59.94, 24 at 23.976, 15 at 15.
        assert clip.n_frames == round(fps), row
        assert min(clip.width, clip.height) <= 256
        assert clip.width % 2 == clip.height % 2 == 0
        assert (clip.width > clip.height) == (int(row["width"]) > int(row["height"])) or clip.width == clip.height
        with av.open(str(target)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            assert not container.streams.audio


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "n_frames"), [("03.mp4", 150), ("06.mp4", 300), ("11.mp4", 300), ("09.mp4", 300)])
def test_ten_seconds_of_real_videos(real_data: Path, tmp_path: Path, name: str, n_frames: int) -> None:
    clip = trim_clip(real_data / "clips" / "original" / name, tmp_path / "clip.mp4", TrimSettings())
    assert clip.n_frames == n_frames


@pytest.mark.real_data
def test_a_start_inside_a_real_video_is_exact(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "clips" / "original" / "06.mp4"
    clip = trim_clip(source, tmp_path / "clip.mp4", TrimSettings(seconds=3.0, crf=10), start_s=7.0)
    assert clip.n_frames == 90
    with av.open(str(source)) as container:
        wanted = next(frame for frame in container.decode(video=0) if frame.time > 7.0 - 1e-3)
        picture = wanted.reformat(256, 256, "rgb24").to_ndarray().astype(int)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(first - picture).mean() < 4


@pytest.mark.parametrize(
    ("codec", "name", "expected"),
    [
        ("libx265", "a.mp4", "hevc"),
        ("libvpx-vp9", "a.webm", "vp9"),
        ("libsvtav1", "a.mkv", "av1"),
        ("mpeg4", "a.mp4", "mpeg4"),
    ],
)
def test_every_codec_is_cut_to_the_frame(
    make_video: Callable[..., Path],
    shown_numbers: Callable[[Path], list[int]],
    tmp_path: Path,
    codec: str,
    name: str,
    expected: str,
) -> None:
    video = make_video(name, frames=150, size=(320, 192), codec=codec)
    with av.open(str(video)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == expected
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=3.0), start_s=1.5)
    # Matroska rounds times to a millisecond.
    assert (clip.n_frames, clip.duration_s) == (90, pytest.approx(3.0, abs=0.001))
    assert shown_numbers(tmp_path / "clip.mp4") == list(range(45, 135))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def _write_variable(path: Path, times_ms: list[int]) -> None:
    """Numbered frames shown at `times_ms`."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30, width=320, height=192, pix_fmt="yuv420p")
        stream.options = {"preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, at in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(_picture(number), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _picture(number: int) -> np.ndarray:
    picture = np.full((192, 320, 3), 90, np.uint8)
    for bit in range(10):
        picture[:96, bit * 32 : (bit + 1) * 32] = 255 if number >> (9 - bit) & 1 else 0
    return picture


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv"])
def test_variable_frame_rate_takes_the_frames_shown_in_the_span_at_their_times(
    shown_numbers: Callable[[Path], list[int]], tmp_path: Path, name: str
) -> None:
    # A screen recording: 60 fps, then a still of a second, then 15 fps, and so on.
    times, at = [], 0
    for step in [17] * 60 + [1000] + [66] * 45 + [33] * 60 + [500] * 3 + [40] * 50:
        times.append(at)
        at += step
    _write_variable(tmp_path / name, times)
    for start, seconds in ((0.0, 4.0), (0.5, 3.5), (2.5, 5.0)):
        clip = trim_clip(tmp_path / name, tmp_path / "clip.mp4", TrimSettings(seconds=seconds), start_s=start)
        begin = min(ms for ms in times if ms >= start * 1000)
        wanted = [number for number, ms in enumerate(times) if begin <= ms < begin + seconds * 1000]
        assert shown_numbers(tmp_path / "clip.mp4") == wanted
        assert clip.n_frames == len(wanted)
        with av.open(str(tmp_path / "clip.mp4")) as container:
            kept = [float(frame.time) for frame in container.decode(video=0)]
        expected = [(times[number] - times[wanted[0]]) / 1000 for number in wanted]
        assert kept == pytest.approx(expected, abs=0.002)


def test_a_clip_that_starts_beyond_the_end_of_a_long_video_is_found_out_at_once(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    # Four hours, a frame a second.
    video = make_video("long.mkv", frames=14_400, fps=1, size=(32, 16), codec="mpeg4")
    with pytest.raises(
        ClipFailure, match=r"too short: the video ends at 14400.00 s; at least 3 s from 20000 s on"
    ) as caught:
        trim_clip(video, tmp_path / "clip.mp4", TrimSettings(), start_s=20_000.0, end_s=20_010.0)
    assert caught.value.failure_class is FailureClass.MEDIA
    clip = trim_clip(video, tmp_path / "clip.mp4", TrimSettings(), start_s=14_380.0, end_s=14_390.0)
    assert clip.n_frames == 10


def test_a_video_that_promises_pictures_and_has_none(make_video: Callable[..., Path], tmp_path: Path) -> None:
    video = make_video("v.mkv", frames=120, codec="mpeg4")
    content = bytearray(video.read_bytes())
    # Every frame's start code is wiped: the packets are there, no picture comes of them.
    for code in (b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb0", b"\x00\x00\x01\xb3"):
        content = content.replace(code, b"\x00\x00\x00\x00")
    video.write_bytes(content)
    with pytest.raises(ClipFailure) as caught:
        trim_clip(video, tmp_path / "clip.mp4", TrimSettings())
    assert caught.value.failure_class is FailureClass.MEDIA
    assert not (tmp_path / "clip.mp4").exists()


def test_frames_before_the_clip_cost_no_more_than_the_time_allowed(
    make_video: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a file without an index gives them that claims to be hours long.
    monkeypatch.setattr("ssat.clips.trim.timed_frames", lambda *_: ((0.0, None) for _ in itertools.count()))
    with pytest.raises(ClipFailure, match=r"decoding took longer than 0\.2 s"):
        trim_clip(make_video(), tmp_path / "clip.mp4", TrimSettings(timeout_s=0.2, min_seconds=1), start_s=2.0)
    assert not (tmp_path / "clip.mp4").exists()
