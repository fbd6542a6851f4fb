import numpy as np
import pytest

from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.motion import ConstantVelocity, mahalanobis, moved_boxes
from ssat.tracking.state import TrackState


def _walk(frame: int, speed: float = 6.0) -> list[float]:
    return [10 + speed * frame, 20.0, 50 + speed * frame, 120.0]


def _started(boxes: list[list[float]], frame_rate: float = 30.0) -> tuple[ConstantVelocity, TrackState]:
    motion, array = ConstantVelocity(frame_rate=frame_rate), np.array(boxes)
    state = TrackState(np.arange(len(array)), array, np.zeros(len(array), np.int64))
    state.set(motion.start(array))
    return motion, state


def test_a_steady_walk_is_predicted_and_a_new_track_stands_still() -> None:
    motion, state = _started([_walk(0)])
    motion.predict(state, None)
    np.testing.assert_allclose(state.boxes, [_walk(0)])
    motion.update(state, np.array([0]), np.array([_walk(1)]))
    for frame in range(2, 40):
        motion.predict(state, None)
        if frame == 39:
            np.testing.assert_allclose(state.boxes, [_walk(39)], atol=0.05)
        motion.update(state, np.array([0]), np.array([_walk(frame)]))
    for _ in range(10):
        motion.predict(state, None)
    np.testing.assert_allclose(state.boxes, [_walk(49)], atol=1.0)


def test_the_more_certain_the_filter_the_less_a_new_box_counts() -> None:
    motion, state = _started([_walk(0, 0), _walk(0, 0)])
    for _ in range(30):
        motion.predict(state, None)
        motion.update(state, np.array([0]), np.array([_walk(0, 0)]))
    motion.predict(state, None)
    assert state.position is not None
    assert state.covariance is not None
    before = state.position.copy()
    motion.update(state, np.array([0, 1]), np.array([[20.0, 20, 60, 120], [20.0, 20, 60, 120]]))
    moved = (state.position - before)[:, 0]
    # The second track was not matched for 31 frames: it follows almost all the way.
    assert 0 < moved[0] < moved[1] <= 10
    assert (state.covariance[:, :, 0] > 0).all()
    assert (state.covariance[:, :, 2] > 0).all()


def test_filters_are_kept_and_appended_with_their_tracks() -> None:
    motion, state = _started([_walk(0), _walk(5), _walk(9)])
    state.keep(np.array([True, False, True]))
    _, new = _started([_walk(20)])
    state.append(new)
    motion.predict(state, None)
    np.testing.assert_allclose(state.boxes, [_walk(0), _walk(9), _walk(20)])


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
    motion, state = _started([[10.0, 20, 30, 60]])
    motion.predict(state, turned)
    np.testing.assert_allclose(state.boxes, [[25, 33, 65, 113]])
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


@pytest.mark.parametrize(("frame_rate", "inside"), [(60.0, False), (30.0, False), (25.0, False), (10.0, True)])
def test_where_frames_lie_further_apart_people_may_go_further(frame_rate: float, inside: bool) -> None:
    # A person 100 pixels high who begins to walk half their height from one frame to the next: 5 heights a second at
    # 10 frames a second, 12.5 at 25.
    motion, state = _started([_walk(0)], frame_rate)
    motion.predict(state, None)
    assert (mahalanobis(state, np.array([_walk(1, 50.0)]))[0, 0] < 9.4877) == inside
