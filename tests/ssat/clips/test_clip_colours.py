"""Colours survive trimming and the frame store, whatever matrix, range, depth and sampling the source has."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace

from ssat.clips.trim import TrimSettings, trim_clip
from ssat.frames.encode import FrameEncoder

_PATCHES = np.array(
    [
        [
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [255, 255, 0],
            [0, 255, 255],
            [255, 0, 255],
            [255, 255, 255],
            [128] * 3,
        ],
        [
            [200, 120, 80],
            [60, 90, 160],
            [90, 160, 70],
            [30] * 3,
            [240, 200, 30],
            [40, 20, 60],
            [180, 40, 120],
            [20, 180, 170],
        ],
    ],
    np.uint8,
)
_MATRICES = {"601": (Colorspace.ITU601, 5), "709": (Colorspace.ITU709, 1), "2020": (Colorspace.BT2020, 9)}
_YUV = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]


def _write(path: Path, codec: str, pixels: str, matrix: str, full: bool, size: tuple[int, int] = (128, 64)) -> Path:
    picture = np.repeat(np.repeat(_PATCHES, size[1] // 2, 0), size[0] // 8, 1)
    by_name, number = _MATRICES[matrix]
    yuv = pixels.startswith("yuv")
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "crf": "4"} if codec == "libx264" else {}
        stream = output.add_stream(codec, rate=25, width=size[0], height=size[1], pix_fmt=pixels, options=options)
        if yuv:
            stream.codec_context.colorspace = number
            stream.codec_context.color_range = 2 if full else 1
        for at in range(10):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if yuv:
                frame = frame.reformat(
                    format=pixels,
                    dst_colorspace=by_name,
                    src_color_range=ColorRange.JPEG,
                    dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                )
            else:
                frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = at, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _stored(path: Path) -> np.ndarray:
    """RGB of the middle of the patches of the first frame, as the frame store has it: (2, 8, 3)."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        jpeg = FrameEncoder(quality=95).encode(frame).jpeg
    picture = simplejpeg.decode_jpeg(jpeg).astype(int)
    h, w = picture.shape[0] // 2, picture.shape[1] // 8
    return np.array(
        [
            [
                picture[r * h + h // 2 - 3 : r * h + h // 2 + 3, c * w + w // 2 - 2 : c * w + w // 2 + 2].mean((0, 1))
                for c in range(8)
            ]
            for r in range(2)
        ]
    )


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("matrix", list(_MATRICES))
@pytest.mark.parametrize("pixels", _YUV)
def test_yuv(tmp_path: Path, pixels: str, matrix: str, full: bool, copied: bool) -> None:
    video = _write(tmp_path / "v.mp4", "libx264", pixels, matrix, full)
    settings = TrimSettings(seconds=0.4 if copied else 0.3, min_seconds=0.1, preset="ultrafast", crf=4)
    clip = trim_clip(video, tmp_path / "clip.mp4", settings)
    assert clip.copied == (copied and pixels == "yuv420p" and not full)  # full range is another pixel format
    assert np.abs(_stored(tmp_path / "clip.mp4") - _PATCHES).mean() <= 2


@pytest.mark.parametrize("pixels", ["bgr0", "gbrp10le", "gray", "gray10le", "rgb48le"])
def test_rgb_and_grey(tmp_path: Path, pixels: str) -> None:
    video = _write(tmp_path / "v.mkv", "ffv1", pixels, "601", False)
    trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=0.3, min_seconds=0.1, preset="ultrafast", crf=4))
    wanted = _PATCHES.astype(float)
    if pixels.startswith("gray"):
        wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, 2)
    assert np.abs(_stored(tmp_path / "clip.mp4") - wanted).mean() <= 2


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["01.mkv", "07.mp4", "12.mp4", "20.mp4"])
def test_real_files(real_data: Path, tmp_path: Path, name: str) -> None:
    source = real_data / "clips" / "original" / name
    trim_clip(source, tmp_path / "clip.mp4", TrimSettings(seconds=0.2, min_seconds=0.1))
    pictures = []
    for path in (source, tmp_path / "clip.mp4"):
        with av.open(str(path)) as container:
            jpeg = FrameEncoder().encode(next(container.decode(video=0))).jpeg
            pictures.append(simplejpeg.decode_jpeg(jpeg)[:240, :240].astype(float))
    # Means of 16x16 pixels: colours, not the noise of the encoder.
    source_blocks, clip_blocks = (picture.reshape(15, 16, 15, 16, 3).mean((1, 3)) for picture in pictures)
    assert np.abs(source_blocks - clip_blocks).mean() < 1
