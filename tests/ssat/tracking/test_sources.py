import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.sequence import MotSequence
from ssat.tracking.sources import ImageSource, VideoSource, read_ahead, read_image


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
