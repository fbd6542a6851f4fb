import numpy as np

from ssat.detection.detections import middles
from ssat.detection.public_support import publicly_supported


def _supported(public: list[list[float]], boxes: list[list[float]]) -> list[bool]:
    left = np.array(boxes, float).reshape(-1, 4)
    return publicly_supported(np.array(public, float).reshape(-1, 4), left, middles(left)).tolist()


def test_the_nearest_detection_is_supported_if_nearer_than_its_area() -> None:
    # Area 10 x 10 = 100: the centres may be less than 10 apart.
    assert _supported([[9, 0, 19, 10]], [[0, 0, 10, 10]]) == [True]
    assert _supported([[10, 0, 20, 10]], [[0, 0, 10, 10]]) == [False]
    assert _supported([], [[0, 0, 10, 10]]) == [False]
    assert _supported([[0, 0, 10, 10]], []) == []


def test_public_boxes_take_in_the_order_of_their_file_and_consume() -> None:
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10]]
    assert _supported([[1, 0, 11, 10]], boxes) == [True, False]
    # The second public box finds its nearest taken, and takes the other one.
    assert _supported([[1, 0, 11, 10], [1, 0, 11, 10]], boxes) == [True, True]


def test_only_the_nearest_is_tried() -> None:
    # The nearest is too small to be reached, the farther and larger one is not asked.
    assert _supported([[0, 0, 10, 10]], [[-40, -40, 60, 55]]) == [True]
    assert _supported([[0, 0, 10, 10]], [[3, 3, 4, 4], [-40, -40, 60, 55]]) == [False, False]
