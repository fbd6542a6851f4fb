"""EXIF orientation: rotation and mirroring that make a stored picture upright.

Source: CIPA DC-008 (Exif 2.32), tag 0x0112.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_TAG = 0x0112
_APP1, _SCAN = 0xE1, 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_SHORT, _LONG = 3, 4


def jpeg_orientation(content: bytes) -> int:
    """Return the EXIF orientation of a JPEG, 1 … 8; 1 (upright) if there is none or it is invalid."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # filling bytes; markers without content
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            break
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == _APP1 and content[at + 4 : at + 10] == b"Exif\0\0":
            return _tiff_orientation(content[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _tiff_orientation(tiff: bytes) -> int:
    """Return the orientation in the first directory of a TIFF structure."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        magic, first = struct.unpack_from(f"{order}HI", tiff, 2)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for index in range(count if magic == 42 else 0):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, first + 2 + 12 * index)
            if tag == _TAG and kind in (_SHORT, _LONG):
                value = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", tiff, first + 10 + 12 * index)
                return int(value[0]) if 1 <= value[0] <= 8 else 1
    except struct.error:
        pass
    return 1


def turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return a stored picture (H, W, …) as it is meant to be seen; sides change places for 5 … 8.

    Args:
        image: as stored.
        orientation: 1 … 8, the EXIF tag.
    """
    if orientation == 1:
        return image
    if orientation >= 5:
        image = image.swapaxes(0, 1)  # 5: mirrored at the main diagonal; 6, 7, 8 go on from there
    # From here on: mirrored left to right (2, 6), turned by 180 degrees (3, 7), mirrored top to bottom (4, 8).
    step = {2: (1, -1), 6: (1, -1), 3: (-1, -1), 7: (-1, -1), 4: (-1, 1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(image[:: step[0], :: step[1]])
