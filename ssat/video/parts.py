"""Find whole videos that were joined byte by byte into one file, as `cat a.mp4 b.mp4` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


@dataclass(frozen=True)
class Part:
    """Bytes [start, end) of a file that are a whole video."""

    start: int
    end: int


def video_parts(path: Path) -> tuple[Part, ...]:
    """Return the videos that lie one after the other in a file; one part where the file is a single video.

    FFmpeg's demuxers of these containers stop at the end of the first video, or mistake the second one's clock for a
    fault. Only the structure is read, not the pictures. MPEG-TS, MPEG-PS and GIF need no splitting: their demuxers read
    on.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        walk = _walk(file.read(16))
        starts = sorted({0, *(walk(file, size) if walk else ())})
    return tuple(Part(start, end) for start, end in zip(starts, [*starts[1:], size], strict=True))


def _mp4(file: BinaryIO, size: int) -> Iterator[int]:
    """ISO 14496-12, 4.2: boxes of a 32-bit size and a type; a file begins with `ftyp` and has one `moov`."""
    at = 0
    begins, index_seen = None, False
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if kind == b"ftyp":
            begins = at if index_seen else begins
            index_seen = False
        elif kind == b"moov":
            index_seen = True
            if begins is not None:
                yield begins
                begins = None
        if length < 8:  # 0: the last box, up to the end of the file
            return
        at += length


def _matroska(file: BinaryIO, size: int) -> Iterator[int]:
    """RFC 8794, 4: an EBML header, then a segment; the size of a segment that was streamed is unknown."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        header = file.read(12)
        if int.from_bytes(header[:4], "big") not in (_EBML, _SEGMENT):
            return
        if at and header[:4] == _EBML.to_bytes(4, "big"):
            yield at
        width = 9 - header[4].bit_length()
        length = int.from_bytes(header[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if width > 8 or length == (1 << 7 * width) - 1:
            return
        at += 4 + width + length


def _flv(file: BinaryIO, size: int) -> Iterator[int]:
    """Adobe Flash Video File Format 10.1, E.2 and E.4: a header, then tags, each followed by its size."""
    at = 0
    while at + 11 <= size:
        file.seek(at)
        header = file.read(11)
        if header[:3] == b"FLV":
            if at:
                yield at
            at += int.from_bytes(header[5:9], "big") + 4
        elif header[0] & 0x1F in (8, 9, 18):  # sound, pictures, data
            at += 11 + int.from_bytes(header[1:4], "big") + 4
        else:
            return


def _asf(file: BinaryIO, size: int) -> Iterator[int]:
    """ASF specification 2.1: objects of a GUID and a 64-bit size; a file begins with the header object."""
    at = 0
    while at + 24 <= size:
        file.seek(at)
        header = file.read(24)
        if at and header[:16] == _ASF_HEADER:
            yield at
        length = int.from_bytes(header[16:24], "little")
        if length < 24:
            return
        at += length


def _avi(file: BinaryIO, size: int) -> Iterator[int]:
    """RIFF: lists of a 32-bit size; a file begins with one of type `AVI `, those of type `AVIX` continue it."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        header = file.read(12)
        if header[:4] != b"RIFF":
            return
        if at and header[8:] == b"AVI ":
            yield at
        length = int.from_bytes(header[4:8], "little")
        at += 8 + length + length % 2


def _walk(beginning: bytes) -> Callable[[BinaryIO, int], Iterator[int]] | None:
    if beginning[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return _mp4
    walks = {_EBML.to_bytes(4, "big"): _matroska, b"FLV": _flv, b"RIFF": _avi, _ASF_HEADER: _asf}
    return next((walk for magic, walk in walks.items() if beginning.startswith(magic)), None)
