"""Images of a folder by the numbers in their names, and upright whatever their format."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ssat.video.image_files import image_digest, list_images, read_image
from ssat.video.natural_order import natural_key, numbers_in
from ssat.video.orientation import turned


def test_digits_in_names_count_as_numbers() -> None:
    names = ["10.jpg", "2.jpg", "1.jpg", "frame-3b.png", "frame-3a.png", "Frame-20.png"]
    assert sorted(names, key=natural_key) == [
        "1.jpg",
        "2.jpg",
        "10.jpg",
        "frame-3a.png",
        "frame-3b.png",
        "Frame-20.png",
    ]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["a/0007.jpg", "b/0010.jpg"], [7, 10]),
        (["cam2_0001.jpg", "cam2_0002.jpg"], [1, 2]),
        (["20240101_120000.jpg", "20240102_130000.jpg"], None),
        (["a.jpg", "1.jpg"], None),
        (["1.jpg", "01.png"], None),
        (["only7.jpg"], [7]),
        ([], None),
    ],
)
def test_the_number_that_every_name_carries(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_in(names) == numbers


def test_a_folder_lists_its_images_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "._9.png", "notes.txt", "1.JPG"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "11.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["1.JPG", "9.png", "10.png"]


def _marked() -> NDArray[np.uint8]:
    """A picture (32, 48, 3) with red, green, blue and white quarters."""
    image = np.full((32, 48, 3), 255, np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return image


def _exif(orientation: int) -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    return b"Exif\0\0" + tiff


# What has to be done to the upright picture so that this orientation stands it upright again.
_STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("named", ["photo.jpg", "photo.png", "a jpeg.png"])
def test_every_format_stands_upright(orientation: int, named: str, tmp_path: Path) -> None:
    upright = _marked()
    stored = np.ascontiguousarray(_STORED[orientation](upright))
    np.testing.assert_array_equal(turned(stored, orientation), upright)
    path = tmp_path / named
    if named == "photo.png":
        _, encoded = cv2.imencode(".png", stored[..., ::-1])
        content = encoded.tobytes()
        tiff = _exif(orientation)[6:]
        chunk = b"eXIf" + tiff
        import zlib

        whole = struct.pack(">I", len(tiff)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(content[:33] + whole + content[33:])
    else:
        _, encoded = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
        content, app1 = encoded.tobytes(), _exif(orientation)
        path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + content[2:])
    image = read_image(path).astype(int)
    assert image.shape == upright.shape
    for y, x in ((6, 8), (6, 40), (26, 8), (26, 40)):
        assert np.abs(image[y, x] - upright[y, x].astype(int)).max() <= 12, (orientation, named)


def test_what_was_cached_of_a_picture_that_is_now_turned_is_not_found_again(tmp_path: Path) -> None:
    _, encoded = cv2.imencode(".jpg", _marked()[..., ::-1])
    content = encoded.tobytes()
    digests = set()
    for orientation in (1, 6):
        app1 = _exif(orientation)
        path = tmp_path / f"{orientation}.jpg"
        path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + content[2:])
        digests.add(image_digest(path))
    assert len(digests) == 2
