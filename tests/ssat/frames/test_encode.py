from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from ssat.frames.encode import FrameEncoder, stored_size
from ssat.video.display_matrix import Orientation


def rgb_route(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """The frame through libswscale to RGB, rounded rather than cut off (its fast path darkens by 1 to 2)."""
    flags = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    return VideoReformatter().reformat(frame, width, height, "rgb24", interpolation=flags).to_ndarray()


def shown(planes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """RGB of full-range BT.601 planes, as a JPEG decoder shows them (JFIF 1.02)."""
    y, u, v = (plane.astype(float) for plane in planes)
    u, v = (np.kron(plane, np.ones((2, 2))) - 128 for plane in (u, v))
    return np.clip(np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], axis=2), 0, 255)


def colour_bars(size: tuple[int, int] = (128, 64)) -> av.VideoFrame:
    colours = [(r, g, b) for r in (20, 230) for g in (20, 230) for b in (20, 230)]
    width, height = size
    image = np.repeat(np.array(colours, np.uint8)[None], height, axis=0).repeat(-(-width // len(colours)), axis=1)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:, :width]), "rgb24")


def decoded_frame(path: Path, index: int = 10) -> av.VideoFrame:
    with av.open(str(path)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i == index:
                return frame
    raise AssertionError(f"{path} has no frame {index}")


REAL_VIDEO = [f"trimmed/{name}.mp4" for name in ("0001", "0148", "0009", "0024")]
REAL_VIDEO += [f"original/{name}" for name in ("00.avi", "04.mp4", "10.mp4", "12.mp4", "13.mp4", "20.mp4")]


def difference_from_rgb_route(path: Path, short_side: int) -> np.ndarray:
    """Ours minus the RGB route, both through 4:2:0 JPEG at quality 100: colours, not quantisation."""
    frame = decoded_frame(path)
    encoded = FrameEncoder(short_side, quality=100).encode(frame)
    image = rgb_route(frame, encoded.width, encoded.height)
    expected = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(image, 100, colorsubsampling="420")).astype(float)
    return simplejpeg.decode_jpeg(encoded.jpeg) - expected


@pytest.mark.real_data
def test_colours_of_real_video_are_within_one_step_of_the_rgb_route(real_data: Path) -> None:
    differences = [difference_from_rgb_route(real_data / "clips" / name, 256) for name in REAL_VIDEO]
    assert np.mean([abs(difference).mean() for difference in differences]) < 1.0
    for name, difference in zip(REAL_VIDEO, differences, strict=True):
        # Where chroma has sharp edges the two routes sample it differently, so a single frame may lie a little above.
        assert abs(difference).mean() < 1.1, name
        assert (abs(difference.mean(axis=(0, 1))) < 0.5).all(), name


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL_VIDEO)
def test_scaling_down_shifts_no_colour(real_data: Path, name: str) -> None:
    difference = difference_from_rgb_route(real_data / "clips" / name, 128)
    assert (abs(difference.mean(axis=(0, 1))) < 0.5).all()


@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709, Colorspace.BT2020, Colorspace.SMPTE240M])
@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv422p10le", "nv12"])
def test_every_matrix_range_and_format_shows_the_same_colours(
    matrix: Colorspace, colour_range: ColorRange, pixel_format: str
) -> None:
    bars = colour_bars()
    video = VideoReformatter().reformat(
        bars,
        format=pixel_format,
        dst_colorspace=matrix,
        dst_color_range=colour_range,
        interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
    )
    got = shown(FrameEncoder(64).planes(video))
    # Away from the edges of the bars, where 4:2:0 smears.
    inner = np.arange(128) % 16
    columns = (inner >= 4) & (inner < 12)
    assert abs(got - bars.to_ndarray().astype(float))[:, columns].mean() < 1.0


@pytest.mark.parametrize("pixel_format", ["rgb24", "gbrp", "gray", "yuvj420p", "pal8", "rgba"])
def test_other_pixel_formats_keep_their_brightness(pixel_format: str) -> None:
    image = np.full((64, 96, 3), 180, np.uint8)
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    if pixel_format == "pal8":
        palette = np.zeros((256, 4), np.uint8)
        palette[7] = (255, 180, 180, 180)
        frame = av.VideoFrame.from_ndarray((np.full((64, 96), 7, np.uint8), palette), "pal8")
    elif pixel_format != "rgb24":
        frame = VideoReformatter().reformat(frame, format=pixel_format)
    picture = simplejpeg.decode_jpeg(FrameEncoder().encode(frame).jpeg)
    assert abs(picture.astype(int) - 180).max() <= 2


def test_a_naive_conversion_would_fail_these_tests() -> None:
    """Planes taken as they are, range and matrix ignored: what the colour tests guard against."""
    bars = colour_bars()
    video = VideoReformatter().reformat(
        bars, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    naive = tuple(
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in video.planes
    )
    assert abs(shown(naive) - bars.to_ndarray()).mean() > 10


@pytest.mark.parametrize(
    ("size", "aspect", "expected"),
    [
        ((1920, 1080), 1.0, (456, 256)),
        ((720, 1280), 1.0, (256, 456)),
        ((320, 240), 1.0, (320, 240)),
        ((321, 241), 1.0, (320, 240)),
        ((720, 576), 16 / 15, (342, 256)),
        ((4000, 20), 1.0, (4000, 20)),
        ((1, 1), 1.0, (2, 2)),
    ],
)
def test_stored_size_is_even_and_never_larger(size: tuple[int, int], aspect: float, expected: tuple[int, int]) -> None:
    assert stored_size(*size, 256, aspect) == expected


@pytest.mark.parametrize("size", [(97, 65), (96, 65), (97, 64), (455, 257)])
def test_odd_sizes_give_the_same_bytes_every_time(size: tuple[int, int]) -> None:
    """The encoder once read beyond odd planes, so that bytes followed from what lay in memory."""
    frame = VideoReformatter().reformat(colour_bars(size), format="yuv420p")
    random = np.random.default_rng(0)
    seen, ballast = set(), []
    for value in range(12):
        ballast.append(np.full(int(random.integers(1_000, 100_000)), value, np.uint8))
        seen.add(FrameEncoder().encode(frame).jpeg)
    assert len(seen) == 1


def test_rotation_brings_the_frame_upright() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48] = (255, 255, 255)  # bright at top left
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    counter_clockwise = Orientation(transposed=True, flip_y=True)  # top left goes to bottom left
    encoded = FrameEncoder().encode(frame, counter_clockwise)
    picture = simplejpeg.decode_jpeg(encoded.jpeg)
    assert (encoded.width, encoded.height) == (64, 96)
    assert picture[72, 16].min() > 200
    assert picture[24, 16].max() < 50
