"""Equations 1 and 2 of the paper against values worked out by hand."""

import numpy as np
import pytest

from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.distances import box_distance, cosine_distance


def test_equation_1_box_distance_by_hand() -> None:
    # Track 30 x 60 at (10, 20): perimeter 2 (30 + 60) = 180. The detection differs by (3, 4, 0, 12): length 13.
    track = np.array([[10.0, 20.0, 40.0, 80.0]])
    detections = np.array([[13.0, 24.0, 40.0, 92.0], [10.0, 20.0, 40.0, 80.0]])
    np.testing.assert_allclose(box_distance(track, detections, alpha=2.0), [[13 / 360, 0.0]], rtol=1e-12)
    np.testing.assert_allclose(box_distance(track, detections, alpha=1.0), [[13 / 180, 0.0]], rtol=1e-12)


def test_equation_1_divides_by_the_perimeter_of_the_track_not_of_the_detection() -> None:
    small, large = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([[0.0, 0.0, 40.0, 40.0]])
    moved = np.hypot(30.0, 30.0)
    assert box_distance(small, large, 2.0)[0, 0] == pytest.approx(moved / (2 * 40))
    assert box_distance(large, small, 2.0)[0, 0] == pytest.approx(moved / (2 * 160))


def test_a_track_without_extent_has_a_perimeter_of_one_pixel() -> None:
    point = np.array([[5.0, 5.0, 5.0, 5.0]])
    assert box_distance(point, point + np.array([0, 0, 0, 1.0]), alpha=2.0)[0, 0] == pytest.approx(0.5)


def test_cosine_distance_is_not_clipped() -> None:
    features = np.array([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]], np.float32)
    np.testing.assert_allclose(cosine_distance(features[:1], features), [[0.0, 0.4, 2.0]], atol=1e-7)


@pytest.mark.parametrize(("tau1", "same"), [(0.437, True), (0.436, False)])
def test_equation_2_adds_the_two_distances_one_to_one(tau1: float, same: bool) -> None:
    # D_bbox = 13 / 360 = 0.0361 and D_cos = 1 - 0.6 = 0.4: together 0.4361, matched only below tau1.
    tracker = Tracker(TrackerConfig(tau1=tau1))
    first = tracker.update([[10, 20, 40, 80]], [[1.0, 0.0]])
    second = tracker.update([[13, 24, 40, 92]], [[0.6, 0.8]])
    assert (first.ids[0] == second.ids[0]) is np.bool_(same)
