import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.frames import FrameCheck
from ssat.pipeline.pipeline import track_frames
from ssat.tracking import Tracker


def test_numbers_that_jump_back_or_repeat_are_refused() -> None:
    check = FrameCheck()
    assert [check(number, None) for number in (3, 4, 7)] == [0, 0, 2]
    for number in (7, 2):
        with pytest.raises(InputError, match=rf"frame {number} comes after frame 7: expected rising frame numbers"):
            check(number, None)


def test_a_frame_of_another_size_is_refused() -> None:
    check = FrameCheck()
    check(1, np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(InputError, match=r"frame 2 has 40x20 pixels, those before it 30x20.*cut the video there"):
        check(2, np.zeros((20, 40, 3), np.uint8))


def test_frames_that_were_left_out_age_the_tracks() -> None:
    boxes = np.array([[0, 0, 10, 30], [0, 0, 10, 30]], float)
    for late, same in ((32, True), (33, False)):
        rows = MotRows(np.array([1, late]), -np.ones(2, int), boxes, np.ones(2), np.ones(2, int))
        ids = track_frames([(1, None), (late, None)], rows, Tracker(frame_rate=30)).ids.tolist()
        assert (ids == [1, 1]) is same
