from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.tracking.camera_motion import CameraMotion
from ssat.video.image_files import read_image


@pytest.mark.real_data
def test_a_known_shift_of_a_real_frame_is_found_although_people_move(real_data: Path) -> None:
    image = read_image(real_data / "mot" / "MOT17" / "train" / "MOT17-09-FRCNN" / "img1" / "000300.jpg")
    known = np.array([[1.01, 0.004, 14.0], [-0.004, 1.01, -9.0]])
    moved = cv2.warpAffine(image, known, (image.shape[1], image.shape[0]))
    # A quarter of the picture stands still, and is said to be people.
    boxes = np.array([[600.0, 300, 1300, 1000]])
    moved[300:1000, 600:1300] = image[300:1000, 600:1300]
    camera = CameraMotion()
    np.testing.assert_array_equal(camera.estimate(image, boxes), np.eye(2, 3))
    found = camera.estimate(moved.astype(np.uint8), boxes)
    corners = np.array([[0, 0, 1], [1920, 0, 1], [0, 1080, 1], [1920, 1080, 1.0]]).T
    assert np.abs(found @ corners - known @ corners).max() < 2.5


def test_without_anything_to_go_by_the_camera_stands_still() -> None:
    camera = CameraMotion()
    flat = np.full((120, 160, 3), 90, np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(camera.estimate(flat, np.empty((0, 4))), np.eye(2, 3))
    np.testing.assert_array_equal(camera.estimate(flat[:60], np.empty((0, 4))), np.eye(2, 3))
