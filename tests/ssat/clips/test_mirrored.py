"""The whole display matrix is applied in clips, stored frames and tracked video, mirrored ones included."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg

from ssat.clips.trim import TrimSettings, trim_clip
from ssat.frames.encode import FrameEncoder
from ssat.video.display_matrix import Orientation
from ssat.video.sources import VideoSource

_ONE = 1 << 16
# (a, b, c, d) of x' = a·x + c·y, y' = b·x + d·y.
_MATRICES = {
    "upright": (1, 0, 0, 1),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "turned by 180 degrees": (-1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "turned clockwise": (0, 1, -1, 0),
    "turned counter-clockwise": (0, -1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}


def _video(path: Path, matrix: tuple[int, int, int, int], pixels: str = "yuv420p") -> tuple[Path, np.ndarray]:
    """Ten frames with four corners of different brightness; their track header carries `matrix`.

    Returns the file, and the brightness (2, 2) of the corners as they are meant to be seen.
    """
    corners = np.array([[230, 30], [90, 160]])
    picture = np.repeat(np.kron(corners, np.ones((32, 48)))[..., None], 3, 2).astype(np.uint8)
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "crf": "10"}
        stream = output.add_stream("libx264", rate=25, width=96, height=64, pix_fmt=pixels, options=options)
        for _ in range(10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # version and flags, times, id, duration, layer, group, volume: ISO 14496-12
    a, b, c, d = (value * _ONE for value in matrix)
    assert struct.unpack_from(">9i", content, at) == (_ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    seen = np.zeros((2, 2))
    for y in (0, 1):
        for x in (0, 1):
            u, v = 2 * x - 1, 2 * y - 1
            seen[(matrix[1] * u + matrix[3] * v + 1) // 2, (matrix[0] * u + matrix[2] * v + 1) // 2] = corners[y, x]
    return path, seen


def _corners(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return picture.reshape(2, height // 2, 2, width // 2, 3).mean((1, 3, 4))


def _stored(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return simplejpeg.decode_jpeg(FrameEncoder().encode(frame, Orientation.of(frame)).jpeg)


@pytest.mark.parametrize("name", list(_MATRICES))
def test_the_whole_matrix_is_applied(tmp_path: Path, name: str) -> None:
    video, seen = _video(tmp_path / "v.mp4", _MATRICES[name])
    _, tracked = next(iter(VideoSource.open(video)))
    pictures = {"track": tracked, "frames": _stored(video)}
    for way, seconds in {"copied": 0.4, "encoded": 0.3}.items():
        settings = TrimSettings(seconds=seconds, min_seconds=0.1, preset="ultrafast")
        clip = trim_clip(video, tmp_path / "clip.mp4", settings)
        assert clip.copied == (way == "copied" and name == "upright")
        pictures[way] = _stored(tmp_path / "clip.mp4")
        assert (clip.width, clip.height) == pictures[way].shape[1::-1]
    for way, picture in pictures.items():
        assert picture.shape == ((64, 96, 3) if _MATRICES[name][0] else (96, 64, 3)), way
        assert np.abs(_corners(picture) - seen).max() < 8, way


def test_full_range_video_is_turned(tmp_path: Path) -> None:
    video, seen = _video(tmp_path / "v.mp4", _MATRICES["transposed"], "yuvj420p")
    trim_clip(video, tmp_path / "clip.mp4", TrimSettings(seconds=0.3, min_seconds=0.1, preset="ultrafast"))
    assert np.abs(_corners(_stored(tmp_path / "clip.mp4")) - seen).max() < 8
