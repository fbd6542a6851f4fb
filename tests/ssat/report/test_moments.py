from pathlib import Path

import cv2
import numpy as np

from ssat.mot.rows import MotRows
from ssat.mot.switches import Switch
from ssat.report.moments import moments_picture, worst_switches


def _switch(frame: int, before: int, after: int) -> Switch:
    return Switch(frame, frame - 1, 1, 5, 6, before, after)


def test_the_changes_between_long_stretches_are_the_worst() -> None:
    flicker, loss, short = _switch(10, 90, 1), _switch(50, 40, 80), _switch(90, 6, 5)
    assert worst_switches([flicker, loss, short], most=2) == [loss, short]


def test_pairs_show_the_person_before_and_after(tmp_path: Path) -> None:
    def rows(ids: list[int]) -> MotRows:
        boxes = np.array([[40.0, 30.0, 80.0, 130.0], [44.0, 30.0, 84.0, 130.0]])
        return MotRows(np.array([9, 10]), np.array(ids), boxes, np.ones(2), np.ones(2, int))

    image = np.zeros((200, 300, 3), np.uint8)
    image[30:130, 40:84] = (200, 30, 30)
    asked = []

    def image_of(frame: int) -> np.ndarray:
        asked.append(frame)
        return image

    path = moments_picture(
        [_switch(10, 9, 9), _switch(10, 9, 9)], rows([1, 1]), rows([5, 6]), image_of, tmp_path / "m.png"
    )
    picture = cv2.imread(str(path))
    assert asked == [9, 10, 9, 10]
    assert picture.shape == (302, 900, 3)
    # Each panel shows the person's red (BGR here), cut to it: a good part of the panel.
    for panel in (picture[34:294, :220], picture[34:294, 222:442]):
        assert (np.abs(panel.astype(int) - (30, 30, 200)).max(axis=2) < 40).mean() > 0.1
