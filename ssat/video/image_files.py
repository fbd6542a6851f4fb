"""Image files: those of a folder in order, and their upright pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.video.natural_order import natural_key
from ssat.video.orientation import jpeg_orientation, turned

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_JPEG = b"\xff\xd8"


def list_images(folder: Path) -> list[Path]:
    """Return the images in a folder, by the numbers in their names; hidden files (`._x.jpg`) are none.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
        files = [path for path in files if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); expected a folder of images") from error
    return sorted(files, key=lambda path: natural_key(path.name))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file as RGB uint8 (H, W, 3), upright: turned and mirrored as its EXIF orientation says.

    Raises:
        InputError: missing, truncated or not an image; names the file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected an image file") from error
    named_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    if content.startswith(_JPEG):
        import simplejpeg

        try:
            image = simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
        except ValueError as error:
            raise InputError(f"{path}: broken JPEG ({error}); copy or extract the file again") from error
        return turned(np.asarray(image, np.uint8), jpeg_orientation(content))
    import cv2

    # OpenCV turns PNG, WebP and TIFF itself.
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB) if content else None
    if decoded is None:
        what = "broken JPEG" if named_jpeg else "not an image that can be decoded"
        raise InputError(f"{path}: {what}; expected one of {', '.join(IMAGE_SUFFIXES)}")
    return decoded.astype(np.uint8, copy=False)


def image_digest(path: Path) -> str:
    """Return hexadecimal SHA-256 of what `read_image` sees of a file.

    It is that of the file, but for a JPEG that is shown turned: earlier versions did not turn it, and what they cached
    must not be found again.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected an image file") from error
    digest = hashlib.sha256(content)
    if content.startswith(_JPEG) and (orientation := jpeg_orientation(content)) != 1:
        digest.update(f"shown by orientation {orientation}".encode())
    return digest.hexdigest()
