import numpy as np
import pytest
import simplejpeg

from ssat.errors import InputError
from ssat.frames.augment import DRAWS, Augment, FrameDecoder, centre_crop


def ramp(height: int = 64, width: int = 96) -> np.ndarray:
    """Red grows to the right, green downwards: a pixel says where it was."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)
    image[..., 1] = np.arange(height)[:, None]
    image[..., 2] = 100
    return image


def crop(augment: Augment, frame: np.ndarray, size: int = 32, short_side: int = 64, seed: int = 0) -> np.ndarray:
    out = np.empty((size, size, 3), np.uint8)
    augment.into(out, frame, short_side, np.random.default_rng(seed).random(DRAWS))
    return out


def test_the_plain_crop_is_a_window_of_the_frame() -> None:
    corners = set()
    for seed in range(200):
        out = crop(Augment(), ramp(), seed=seed)
        left, top = int(out[0, 0, 0]), int(out[0, 0, 1])
        assert np.array_equal(out, ramp()[top : top + 32, left : left + 32])
        corners.add((left, top))
    lefts, tops = zip(*corners, strict=True)
    assert min(lefts) < 5
    assert max(lefts) > 59
    assert min(tops) < 4
    assert max(tops) > 28


def test_the_window_scales_with_the_decoded_frame() -> None:
    """A crop of 32 at short side 64 covers half of the height, whatever the frame was decoded to."""
    out = crop(Augment(), ramp(128, 192))
    assert 60 <= int(out[-1, 0, 1]) - int(out[0, 0, 1]) <= 64
    small = crop(Augment(), ramp(32, 48))
    assert 12 <= int(small[-1, 0, 1]) - int(small[0, 0, 1]) <= 16


def test_flip_mirrors_half_of_the_crops() -> None:
    mirrored = [crop(Augment(flip=True), ramp(), seed=seed) for seed in range(200)]
    plain = [crop(Augment(), ramp(), seed=seed) for seed in range(200)]
    flipped = [np.array_equal(a, b[:, ::-1]) for a, b in zip(mirrored, plain, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(mirrored, plain, strict=True)]
    assert all(a or b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130


def test_scale_and_aspect_stay_within_their_bounds() -> None:
    augment = Augment(scale=(0.1, 0.5), aspect=(0.5, 2.0))
    areas, aspects = [], []
    for seed in range(300):
        draws = np.random.default_rng(seed).random(2)
        width, height = augment.window_size((0.1, 0.5), 96, 64, *draws)
        assert 1 <= width <= 96
        assert 1 <= height <= 64
        areas.append(width * height / (96 * 64))
        aspects.append(width / height)
    assert 0.08 < min(areas) < 0.15
    assert 0.4 < max(areas) < 0.52
    assert 0.45 < min(aspects) < 0.6
    assert 1.7 < max(aspects) < 2.2


def test_brightness_and_contrast_change_light_alone() -> None:
    grey = np.full((64, 96, 3), 100, np.uint8)
    values = [int(crop(Augment(brightness=0.3), grey, seed=seed)[0, 0, 0]) for seed in range(100)]
    assert 70 <= min(values) < 80
    assert 120 < max(values) <= 130
    same = crop(Augment(contrast=0.5), grey)
    assert abs(same.astype(int) - 100).max() <= 1
    spreads = [crop(Augment(contrast=0.5), ramp(), seed=seed)[..., 0].std() for seed in range(100)]
    plain = crop(Augment(), ramp())[..., 0].std()
    assert min(spreads) < 0.7 * plain
    assert max(spreads) > 1.3 * plain


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (0.0, 1.0)},
        {"scale": (0.8, 0.5)},
        {"scale": (0.5, 1.5)},
        {"scale": (0.5, 1.0), "aspect": (2.0, 1.0)},
        {"aspect": (0.5, 2.0)},
        {"brightness": 1.0},
        {"contrast": -0.1},
    ],
)
def test_bounds_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="augment"):
        Augment(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("short_side", "expected"), [(256, 256), (300, 256), (160, 256), (128, 128), (112, 128), (72, 96), (64, 64)]
)
def test_frames_are_decoded_at_the_smallest_scale_that_suffices(short_side: int, expected: int) -> None:
    jpeg = simplejpeg.encode_jpeg(ramp(256, 256), 90)
    decoder = FrameDecoder()
    for _ in range(2):
        frame = decoder.decode(jpeg, short_side)
        assert min(frame.shape[:2]) == expected
        x, y = expected // 4, expected // 2
        assert abs(frame[y, x].astype(int) - (64, 128, 100)).max() <= 3


def test_the_centre_crop_is_the_middle() -> None:
    assert np.array_equal(centre_crop(ramp(), 32, 64), ramp()[16:48, 32:64])
    assert centre_crop(ramp(20, 300), 64, 64).shape == (64, 64, 3)
