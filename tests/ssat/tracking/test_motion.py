import numpy as np
import pytest

from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.motion import Motion, moved_boxes


def _walk(frame: int, speed: float = 6.0) -> list[float]:
    return [10 + speed * frame, 20.0, 50 + speed * frame, 120.0]


def test_a_steady_walk_is_predicted_and_a_new_track_stands_still() -> None:
    motion = Motion()
    motion.add(np.array([_walk(0)]))
    np.testing.assert_allclose(motion.predict(), [_walk(0)])
    motion.correct(np.array([0]), np.array([_walk(1)]))
    for frame in range(2, 40):
        predicted = motion.predict()
        motion.correct(np.array([0]), np.array([_walk(frame)]))
    np.testing.assert_allclose(predicted, [_walk(39)], atol=0.05)
    for _ in range(10):
        predicted = motion.predict()
    np.testing.assert_allclose(predicted, [_walk(49)], atol=1.0)


def test_what_is_seen_counts_less_the_surer_the_filter_is() -> None:
    motion = Motion()
    motion.add(np.array([_walk(0, 0), _walk(0, 0)]))
    for _ in range(30):
        motion.predict()
        motion.correct(np.array([0]), np.array([_walk(0, 0)]))
    motion.predict()
    before = motion.place.copy()
    motion.correct(np.array([0, 1]), np.array([[20.0, 20, 60, 120], [20.0, 20, 60, 120]]))
    moved = (motion.place - before)[:, 0]
    # Nobody has seen the second for 31 frames: it follows almost all the way.
    assert 0 < moved[0] < moved[1] <= 10
    assert (motion.covariance[:, :, 0] > 0).all()
    assert (motion.covariance[:, :, 2] > 0).all()


def test_tracks_leave_with_their_rows() -> None:
    motion = Motion()
    motion.add(np.array([_walk(0), _walk(5), _walk(9)]))
    motion.keep(np.array([True, False, True]))
    np.testing.assert_allclose(motion.predict(), [_walk(0), _walk(9)])


def test_with_motion_the_box_tracker_follows_through_a_gap_in_which_it_would_lose() -> None:
    config = TrackerConfig(tau1=0.05, tau2=0.05)
    for motion, same in (("none", False), ("kalman", True)):
        tracker = Tracker(config.model_copy(update={"motion": motion}))
        for frame in range(20):
            tracker.update([_walk(frame)], None)
        for _ in range(8):
            tracker.update([], None)
        assert (tracker.update([_walk(28)], None).ids.tolist() == [1]) is same


def test_a_moving_camera_takes_the_tracks_along() -> None:
    turned = np.array([[2.0, 0.0, 5.0], [0.0, 2.0, -7.0]])
    np.testing.assert_allclose(moved_boxes(np.array([[10.0, 20, 30, 60]]), turned), [[25, 33, 65, 113]])
    motion = Motion()
    motion.add(np.array([[10.0, 20, 30, 60]]))
    motion.move(turned)
    np.testing.assert_allclose(motion.predict(), [[25, 33, 65, 113]])
    pan = np.array([[1.0, 0.0, 300.0], [0.0, 1.0, 0.0]])
    config = TrackerConfig(tau1=0.05, tau2=0.05)
    for motion_model in ("none", "kalman"):
        for compensated in (True, False):
            tracker = Tracker(config.model_copy(update={"camera_motion": compensated, "motion": motion_model}))
            tracker.update([_walk(0)], None, camera=np.eye(2, 3))
            moved = np.array([_walk(0)]) + np.array([300, 0, 300, 0])
            assert (tracker.update(moved, None, camera=pan).ids.tolist() == [1]) is compensated


def test_a_camera_map_that_is_none() -> None:
    tracker = Tracker(TrackerConfig(camera_motion=True))
    with pytest.raises(Exception, match=r"camera motion has shape \(3, 3\)"):
        tracker.update([_walk(0)], None, camera=np.eye(3))
