import cv2
import numpy as np
import pytest
import torch

from ssat.detection.geometry import InputMap, normalised, warped


def test_full_hd_is_halved_and_two_pixels_lower() -> None:
    for fit in ("letterbox", "published"):
        one = InputMap.of(1920, 1080, fit)  # type: ignore[arg-type]
        assert (one.scale, one.shift_x, one.shift_y) == (0.5, 0.0, 2.0)


def test_of_640x480_the_published_map_cuts_58_7_rows_at_each_end_and_letterbox_none() -> None:
    published = InputMap.of(640, 480, "published")
    assert published.scale == 1.5
    top, bottom = published.to_frame(np.array([[0.0, 0.0, 960.0, 544.0]]))[0, [1, 3]]
    assert top == pytest.approx(58.67, abs=0.01)
    assert bottom == pytest.approx(480 - 58.67, abs=0.01)
    whole = InputMap.of(640, 480, "letterbox").to_input(np.array([[0.0, 0.0, 640.0, 480.0]]))[0]
    assert whole[1] == pytest.approx(0)
    assert whole[3] == pytest.approx(544)
    assert 0 < whole[0] < whole[2] < 960


@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (270, 480), (960, 544)])
def test_there_and_back(size: tuple[int, int]) -> None:
    boxes = np.array([[3.0, 4.0, 50.0, 91.0], [-5.0, 0.0, 1.0, 2.0]])
    for fit in ("letterbox", "published"):
        one = InputMap.of(*size, fit)  # type: ignore[arg-type]
        np.testing.assert_allclose(one.to_frame(one.to_input(boxes)), boxes, atol=1e-9)


def test_pixels_go_where_the_map_says() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[200:280, 300:340] = (255, 0, 0)
    for fit in ("letterbox", "published"):
        one = InputMap.of(640, 480, fit)  # type: ignore[arg-type]
        picture = warped(image, one)
        assert picture.shape == (544, 960, 3)
        ys, xs = (picture[..., 0] > 127).nonzero()
        expected = one.to_input(np.array([300.0, 200.0, 340.0, 280.0]))
        np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], expected, atol=1.01)


def test_normalised_values_are_bgr_with_the_published_mean_and_deviation() -> None:
    rgb = np.full((1, 4, 4, 3), (255, 0, 51), np.uint8)
    blue, green, red = normalised(torch.from_numpy(rgb))[0, :, 0, 0].tolist()
    assert blue == pytest.approx((0.2 - 0.40789654) / 0.28863828, abs=1e-6)
    assert green == pytest.approx(-0.44719302 / 0.27408164, abs=1e-6)
    assert red == pytest.approx((1 - 0.47026115) / 0.27809835, abs=1e-6)


def test_the_map_is_that_of_three_points() -> None:
    # Centre to centre, and the longer side onto the width: as an affine map through three points.
    source = np.array([[320, 240], [640, 240], [320, 560]], np.float32)
    target = np.array([[480, 272], [960, 272], [480, 752]], np.float32)
    expected = cv2.getAffineTransform(source, target)
    one = InputMap.of(640, 480, "published")
    np.testing.assert_allclose([[one.scale, 0, one.shift_x], [0, one.scale, one.shift_y]], expected, atol=1e-6)
