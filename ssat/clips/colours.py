"""Colours of a video frame: kind of pixel format, matrix, range, and how to scale without changing them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum

from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

# AVColorSpace (ITU-T H.273, table 4), and the name that libswscale has for it. A matrix that is not in the table, or
# that the file does not state, is taken as BT.601: FFmpeg and libswscale do the same, whatever the picture's size.
_SWSCALE_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_UNSPECIFIED = 2
_BT601 = 5  # AVCOL_SPC_BT470BG: the matrix of JFIF
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
# Matrix 0 means RGB, 3 is reserved: neither is a matrix of luma and chroma.
_NO_MATRIX = {0, 3}


class PixelKind(StrEnum):
    """Content of the planes of a pixel format."""

    RGB = "rgb"
    GREY = "grey"
    YUV = "yuv"


@dataclass(frozen=True)
class Colours:
    """Colour encoding of a frame.

    Attributes:
        kind: RGB (palettes included), grey, or luma and chroma.
        matrix: AVColorSpace of luma and chroma; 2: not stated, taken as BT.601.
        full_range: luma from 0 to 255 rather than 16 to 235.
        primaries, transfer: AVColorPrimaries and AVColorTransferCharacteristic; carried along, never converted.
    """

    kind: PixelKind
    matrix: int
    full_range: bool
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED

    @classmethod
    def of(cls, frame: VideoFrame) -> Colours:
        """Return the colours of a decoded frame.

        Luma and chroma whose range is not stated have limited range. Grey and RGB formats have full range whatever
        the tag says, as in libswscale.
        """
        name = frame.format.name
        kind = pixel_kind(name)
        if kind is not PixelKind.YUV:
            return cls(kind, _BT601, True, int(frame.color_primaries), int(frame.color_trc))
        matrix = int(frame.colorspace)
        return cls(
            kind,
            _UNSPECIFIED if matrix in _NO_MATRIX else matrix,
            frame.color_range == _FULL_RANGE or name.startswith("yuvj"),
            int(frame.color_primaries),
            int(frame.color_trc),
        )

    @property
    def swscale_matrix(self) -> Colorspace:
        """The matrix by libswscale's name."""
        return _SWSCALE_MATRIX.get(self.matrix, Colorspace.ITU601)

    @property
    def swscale_range(self) -> ColorRange:
        """The range by libswscale's name."""
        return ColorRange.JPEG if self.full_range else ColorRange.MPEG

    def tag(self, encoder: VideoCodecContext) -> None:
        """Let `encoder` write these colours into its stream: 4:2:0 of this matrix and range."""
        encoder.colorspace = self.matrix
        encoder.color_range = self.swscale_range
        encoder.color_primaries = _stated(self.primaries, ColorPrimaries)
        encoder.color_trc = _stated(self.transfer, ColorTrc)


# Colours of a JPEG (JFIF): full-range BT.601.
JFIF = Colours(PixelKind.YUV, _BT601, True)


def _stated(value: int, known: type[ColorPrimaries] | type[ColorTrc]) -> int:
    return value if value in set(known) else _UNSPECIFIED


def stored_colours(colours: Colours) -> Colours:
    """Return the colours that luma and chroma of a frame keep: its own; for RGB and grey those of a JPEG."""
    if colours.kind is PixelKind.YUV:
        return colours
    return Colours(PixelKind.YUV, JFIF.matrix, JFIF.full_range, colours.primaries, colours.transfer)


@functools.cache
def pixel_kind(pixel_format: str) -> PixelKind:
    """Return the kind of a pixel format, by FFmpeg's name."""
    video_format = VideoFormat(pixel_format)
    if video_format.is_rgb or video_format.has_palette or pixel_format.startswith("xyz"):
        return PixelKind.RGB
    colours = [component for component in video_format.components if not component.is_alpha]
    return PixelKind.GREY if len(colours) == 1 else PixelKind.YUV


def scaled(
    reformatter: VideoReformatter, frame: VideoFrame, size: tuple[int, int], colours: Colours, target: Colours
) -> VideoFrame:
    """Return `frame` as 8 bit 4:2:0 of `size` (width, height), averaged over areas, in the colours `target`.

    `colours` are those of `frame`. Where only size, sampling and bit depth differ no colour is converted, which is the
    fast way.
    """
    source_matrix, target_matrix = colours.swscale_matrix, target.swscale_matrix
    flags = Interpolation.AREA
    if source_matrix == target_matrix:
        # libswscale does not convert colours if both sides have the same matrix and range.
        source_matrix = target_matrix = Colorspace.ITU601
    if colours.kind is not PixelKind.YUV:
        flags |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
    return reformatter.reformat(
        frame,
        *size,
        "yuvj420p" if target.full_range and frame.format.name == "yuvj420p" else "yuv420p",
        src_colorspace=source_matrix,
        dst_colorspace=target_matrix,
        src_color_range=colours.swscale_range,
        dst_color_range=target.swscale_range,
        interpolation=flags,
        threads=1,
    )
