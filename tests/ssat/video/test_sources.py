import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.sequence import MotSequence
from ssat.video.image_files import read_image
from ssat.video.sources import ImageSource, VideoSource, read_ahead


def test_images_come_in_order_with_their_numbers(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=4) / "img1"
    source = ImageSource.of_folder(folder, 12.0)
    assert (source.name, source.n_frames, source.frame_rate) == ("img1", 4, 12.0)
    frames = list(read_ahead(source))
    assert [number for number, _ in frames] == [1, 2, 3, 4]
    assert all(image.shape == (200, 320, 3) and image.dtype == np.uint8 for _, image in frames)
    (folder / "README.txt").write_text("not a frame")
    assert ImageSource.of_folder(folder, 12.0).n_frames == 4


def test_colours_are_rgb_from_jpeg_and_png(tmp_path: Path) -> None:
    blue_in_bgr = np.zeros((16, 16, 3), np.uint8)
    blue_in_bgr[..., 0] = 255
    for name in ("frame.jpg", "frame.png"):
        cv2.imwrite(str(tmp_path / name), blue_in_bgr)
        assert np.abs(read_image(tmp_path / name)[8, 8].astype(int) - [0, 0, 255]).max() <= 3


def test_a_broken_frame_is_named(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=4) / "img1"
    whole = (folder / "000003.jpg").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>not found</html>"):
        (folder / "000003.jpg").write_bytes(content)
        with pytest.raises(InputError, match=r"000003.jpg: broken JPEG"):
            list(read_ahead(ImageSource.of_folder(folder, 10.0)))
    (tmp_path / "frame.png").write_bytes(b"")
    with pytest.raises(InputError, match="not an image"):
        read_image(tmp_path / "frame.png")
    with pytest.raises(InputError, match="no images"):
        ImageSource.of_folder(tmp_path / "WALK-01" / "det", 10.0)


def test_a_frame_of_another_size_is_named(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    one = MotSequence.open(make_sequence(tmp_path, n_frames=2))
    source = ImageSource(one.name, 10.0, [one.image_path(1)], [1], (640, 480))
    with pytest.raises(InputError, match=r"000001.jpg: is 320x200 pixels, expected 640x480"):
        list(source)


def test_a_consumer_that_stops_ends_the_reading_thread(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    frames = read_ahead(ImageSource.of_folder(make_sequence(tmp_path, n_frames=12) / "img1", 10.0), depth=1)
    next(frames)
    assert isinstance(frames, Iterator)
    frames.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "read-img1"]


@pytest.mark.real_data
def test_real_videos_give_all_their_frames(real_data: Path) -> None:
    path = real_data / "clips" / "trimmed" / "0003.mp4"
    source = VideoSource.open(path)
    frames = list(read_ahead(source))
    assert [number for number, _ in frames] == list(range(1, source.n_frames + 1))
    assert min(frames[0][1].shape[:2]) == 256
    assert VideoSource.open(path, 12.5).frame_rate == 12.5


def test_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(InputError, match="no such video file"):
        VideoSource.open(path)
    path.write_bytes(b"not a video at all" * 100)
    with pytest.raises(InputError, match="not a video that can be read"):
        VideoSource.open(path)


def _video(path: Path, sizes: list[tuple[int, int]], times: list[int]) -> Path:
    """Frames of these sizes at these times in ms; a change of size is a change of the stream."""
    with av.open(str(path), "w", format={".mkv": "matroska", ".ts": "mpegts"}.get(path.suffix, "mp4")) as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for (width, height), at in zip(sizes, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("rotation", "bright"), [(0, (0, 0)), (90, (1, 0)), (-90, (0, 1)), (180, (1, 1))])
def test_a_phones_video_stands_upright(tmp_path: Path, rotation: int, bright: tuple[int, int]) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = 255  # the top left of what the sensor saw
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")
        stream.set_display_rotation(rotation)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    ((_, image),) = VideoSource.open(tmp_path / "phone.mp4")
    assert image.shape == ((48, 64, 3) if rotation in (0, 180) else (64, 48, 3))
    quarters = image.reshape(2, image.shape[0] // 2, 2, -1, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == bright


def test_a_frame_rate_that_changes_is_told(tmp_path: Path) -> None:
    times = [40 * n for n in range(20)] + [800 + 100 * n for n in range(20)]
    changing = VideoSource.open(_video(tmp_path / "changing.mkv", [(64, 48)] * 40, times))
    assert len(list(changing)) == 40
    assert any("40 to 100 ms: the frame rate changes" in note for note in changing.notes), changing.notes
    steady = VideoSource.open(_video(tmp_path / "steady.mkv", [(64, 48)] * 40, [40 * n for n in range(40)]))
    assert len(list(steady)) == 40
    assert steady.notes == []


def test_a_video_that_ends_early_is_told_or_refused(tmp_path: Path) -> None:
    whole = _video(tmp_path / "whole.mp4", [(64, 48)] * 30, [40 * n for n in range(30)])
    source = VideoSource.open(whole)
    assert source.n_frames == 30
    assert len(list(source)) == 30
    short = VideoSource(source.name, source.frame_rate, 35, whole)
    assert len(list(short)) == 30
    assert short.notes == ["the video ends early: its header promises 35 frames, 30 are there"]


def test_a_playlist_in_disguise_opens_nothing_else(tmp_path: Path) -> None:
    secret = _video(tmp_path / "secret.ts", [(64, 48)] * 5, [40 * n for n in range(5)])
    disguised = tmp_path / "street.mp4"
    disguised.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match="not a video that can be read"):
        VideoSource.open(disguised)


def test_content_names_frames(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=4) / "img1"
    source = ImageSource.of_folder(folder, 10.0)
    assert len({source.content(number) for number in range(1, 5)}) == 4
    video = VideoSource.open(_video(tmp_path / "one.mkv", [(64, 48)] * 5, [40 * n for n in range(5)]))
    assert video.content(1) != video.content(2)
    assert video.content(1) == VideoSource.open(video.path).content(1)
