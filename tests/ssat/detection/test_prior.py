import math

import numpy as np
import pytest

from ssat.detection.prior import gaussian_radius, prior_heatmap


def test_radius_by_hand() -> None:
    # 40 x 20, overlap 0.7: (60 + √(3600 − 4·800·0.3/1.7))/2, (120 + √(14400 − 16·240))/2, (−84 + √(7056 + 4·2.8·240))/2
    cases = [
        (60 + math.sqrt(3600 - 4 * 800 * 0.3 / 1.7)) / 2,
        (120 + math.sqrt(14400 - 16 * 240)) / 2,
        (-84 + math.sqrt(7056 + 4 * 2.8 * 240)) / 2,
    ]
    assert gaussian_radius(40, 20) == pytest.approx(min(cases))
    assert gaussian_radius(40, 20) == pytest.approx(gaussian_radius(20, 40))


def test_a_bell_stands_in_the_middle_of_the_clipped_box() -> None:
    heatmap = prior_heatmap(np.array([[100.0, 100.0, 140.0, 200.0]]), 320, 256)
    assert heatmap.shape == (256, 320)
    assert heatmap.max() == 1.0
    assert np.argwhere(heatmap == 1.0).tolist() == [[150, 120]]
    radius = int(gaussian_radius(100, 40))
    assert np.argwhere(heatmap > 0)[:, 0].min() == 150 - radius
    sigma = (2 * radius + 1) / 6
    assert heatmap[150, 123] == pytest.approx(math.exp(-9 / (2 * sigma**2)), rel=1e-5)
    # Half of it outside: the middle is that of the visible part.
    half = prior_heatmap(np.array([[-20.0, 100.0, 20.0, 200.0]]), 320, 256)
    assert np.argwhere(half == 1.0).tolist() == [[150, 10]]


def test_bells_are_combined_by_maximum_and_boxes_outside_leave_no_trace() -> None:
    boxes = np.array([[100.0, 100.0, 140.0, 200.0], [110.0, 100.0, 150.0, 200.0]])
    both = prior_heatmap(boxes, 320, 256)
    one, other = (prior_heatmap(box[None], 320, 256) for box in boxes)
    np.testing.assert_array_equal(both, np.maximum(one, other))
    outside = np.array([[-50.0, 10.0, -10.0, 60.0], [400.0, 10.0, 420.0, 60.0], [10.0, 10.0, 10.0, 60.0]])
    assert not prior_heatmap(outside, 320, 256).any()
    assert not prior_heatmap(np.empty((0, 4)), 320, 256).any()


def test_near_every_edge() -> None:
    for x in (0.0, 317.0):
        for y in (0.0, 253.0):
            heatmap = prior_heatmap(np.array([[x, y, x + 2, y + 2]]), 320, 256)
            assert heatmap.max() == 1.0
