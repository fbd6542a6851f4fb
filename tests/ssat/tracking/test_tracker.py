import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssat.errors import InputError
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.distances import accumulated

A, B, C = np.eye(3, 8, dtype=np.float32)  # appearances of three people: distance 1 from each other
LEFT, RIGHT = [0.0, 0.0, 50.0, 100.0], [400.0, 0.0, 450.0, 100.0]


def test_equation_3_accumulates_and_normalises_by_hand() -> None:
    # 0.4 (0, 1) + 0.6 (1, 0) = (0.6, 0.4), of length sqrt(0.52).
    old, new = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    expected = np.array([[0.6, 0.4]]) / math.sqrt(0.52)
    np.testing.assert_allclose(accumulated(old, new, 0.4), expected, rtol=1e-6)


def test_equation_3_is_what_the_next_frame_is_compared_with() -> None:
    old, new = np.array([1.0, 0.0]), np.array([0.8, 0.6])
    kept = (0.4 * new + 0.6 * old) / np.linalg.norm(0.4 * new + 0.6 * old)
    third = np.array([-0.28, 0.96])
    # tau1 stands between the distance of the third feature from the accumulated one and from either alone.
    far_from_kept, far_from_new = 1 - third @ kept, 1 - third @ new
    assert far_from_new < far_from_kept
    config = TrackerConfig(tau1=(far_from_kept + far_from_new) / 2, tau2=0.01)
    for accumulate, same in ((True, False), (False, True)):
        tracker = Tracker(config.model_copy(update={"accumulate": accumulate}))
        ids = [int(tracker.update([LEFT], [feature]).ids[0]) for feature in (old, new, third)]
        assert ids[0] == ids[1]
        assert (ids[2] == ids[0]) is same


def test_features_are_normalised_whatever_their_length() -> None:
    tracker = Tracker()
    first = tracker.update([LEFT, RIGHT], [10 * A, 0.01 * B])
    second = tracker.update([RIGHT, LEFT], [3 * B, A])
    assert second.ids.tolist() == first.ids[::-1].tolist()


def test_appearance_wins_over_place_when_people_cross() -> None:
    tracker, box_tracker = Tracker(), Tracker()
    near = [60.0, 0.0, 110.0, 100.0]
    assert tracker.update([LEFT, near], [A, B]).ids.tolist() == [1, 2]
    assert tracker.update([LEFT, near], [B, A]).ids.tolist() == [2, 1]
    box_tracker.update([LEFT, near], None)
    assert box_tracker.update([LEFT, near], None).ids.tolist() == [1, 2]


def test_a_lost_track_returns_by_the_wider_threshold_only_in_a_later_frame() -> None:
    between = np.array([0.4, math.sqrt(1 - 0.16)], np.float32)  # distance 0.6: not below tau1, below tau2
    seen = np.array([1.0, 0.0], np.float32)
    tracker = Tracker()
    tracker.update([LEFT], [seen])
    assert tracker.update([LEFT], [between]).ids.tolist() == [2], "round 2 must not see this frame's unmatched tracks"
    tracker = Tracker()
    tracker.update([LEFT], [seen])
    tracker.update([], np.empty((0, 2)))
    assert tracker.update([LEFT], [between]).ids.tolist() == [1]


@pytest.mark.parametrize(("frame_rate", "life"), [(30, 30), (14, 14), (25, 25), (29.97, 29), (0.5, 0)])
def test_a_track_lives_30_frames_times_fps_over_30_and_never_returns_after(frame_rate: float, life: int) -> None:
    for gap, same in ((life, True), (life + 1, False)):
        tracker = Tracker(frame_rate=frame_rate)
        tracker.update([LEFT], [A])
        for _ in range(gap):
            tracker.update([], None)
        assert (tracker.update([LEFT], [A]).ids[0] == 1) is np.bool_(same), gap


def test_memory_follows_the_tracks_alive_not_the_frames() -> None:
    tracker = Tracker(frame_rate=5)
    for frame in range(200):
        tracker.update([[1000.0 * frame, 0, 1000 * frame + 10, 10]], [np.eye(200)[frame]])
    assert tracker.n_alive <= 6
    assert tracker.state.features is not None
    assert len(tracker.state.features) == len(tracker.state.boxes) == tracker.n_alive


def test_a_zero_feature_goes_by_the_box_alone_and_keeps_the_known_appearance() -> None:
    tracker = Tracker()
    tracker.update([LEFT, RIGHT], [A, B])
    nothing = np.zeros(8)
    assert tracker.update([RIGHT, LEFT], [nothing, A]).ids.tolist() == [2, 1]
    # B is still what is known of track 2: far away, where the box says no, a new face is a new track.
    assert tracker.update([RIGHT], [B]).ids.tolist() == [2]
    far = [5000.0, 0.0, 5050.0, 100.0]
    assert tracker.update([far], [nothing]).ids.tolist() == [3]
    # A track born without appearance takes the first one it is given, and has it from then on.
    assert tracker.update([far], [C]).ids.tolist() == [3]
    assert tracker.update([far], [A]).ids.tolist() == [4]


def test_without_box_term_a_zero_feature_matches_nothing() -> None:
    tracker = Tracker(TrackerConfig(box_term=False))
    tracker.update([LEFT], [A])
    assert tracker.update([LEFT], [np.zeros(8)]).ids.tolist() == [2]


def test_frames_without_features_between_frames_with_them() -> None:
    tracker = Tracker()
    tracker.update([LEFT, RIGHT], [A, B])
    assert tracker.update([RIGHT, LEFT], None).ids.tolist() == [2, 1]
    assert tracker.update([LEFT, RIGHT], [B, A]).ids.tolist() != [1, 2]
    late = Tracker()
    late.update([LEFT], None)
    assert late.update([LEFT], [A]).ids.tolist() == [1]


def test_empty_frames_one_detection_and_five_hundred() -> None:
    tracker = Tracker()
    empty = tracker.update(np.empty((0, 4)), np.empty((0, 8)))
    assert len(empty) == 0
    assert empty.boxes.shape == (0, 4)
    assert tracker.update([LEFT], [A]).ids.tolist() == [1]
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 1000, (500, 2))
    boxes, features = np.hstack((corner, corner + 50)), rng.normal(size=(500, 64))
    tracker = Tracker()
    first = tracker.update(boxes, features, scores=np.linspace(0, 1, 500))
    order = rng.permutation(500)
    second = tracker.update(boxes[order], features[order])
    np.testing.assert_array_equal(second.ids, first.ids[order])
    np.testing.assert_array_equal(first.detection_index, np.arange(500))
    assert first.scores is not None
    assert first.scores[-1] == 1.0


def test_the_answer_does_not_change_with_the_callers_array() -> None:
    boxes = np.array([LEFT])
    tracks = Tracker().update(boxes, None)
    boxes += 1000
    assert tracks.boxes.tolist() == [LEFT]


@pytest.mark.parametrize(
    ("boxes", "features", "message"),
    [
        ([[0, 0, math.nan, 10]], [A], "detection 0"),
        ([LEFT, [10, 0, 5, 10]], [A, B], "detection 1"),
        ([[0, 0, 10]], [A], r"\(1, 3\)"),
        ([LEFT], [A, B], "a row per detection"),
        ([LEFT, RIGHT], [A, B * math.nan], "detection 1 is not finite"),
        ([LEFT], [[1.0, 0.0]], "width 2, earlier frames had 8"),
    ],
)
def test_bad_input_is_refused_by_name_and_leaves_the_tracker_usable(
    boxes: list[list[float]], features: list[np.ndarray], message: str
) -> None:
    tracker = Tracker()
    tracker.update([LEFT], [A])
    with pytest.raises(InputError, match=message):
        tracker.update(boxes, features)
    assert tracker.update([LEFT], [A]).ids.tolist() == [1]


def test_neither_features_nor_box_term() -> None:
    with pytest.raises(InputError, match="nothing to associate by"):
        Tracker(TrackerConfig(box_term=False)).update([LEFT], None)
    with pytest.raises(InputError, match="frame rate"):
        Tracker(frame_rate=0)


_worlds = st.tuples(st.integers(0, 2**31), st.integers(1, 8), st.sampled_from(["greedy", "hungarian"]))


def _world(seed: int, people: int, frames: int = 12) -> list[tuple[np.ndarray, np.ndarray]]:
    """People who walk at random and are missed now and then: boxes and noisy features of each frame."""
    rng = np.random.default_rng(seed)
    faces, place = rng.normal(size=(people, 16)), rng.uniform(0, 600, (people, 2))
    result = []
    for _ in range(frames):
        place += rng.normal(0, 10, place.shape)
        seen = rng.random(people) > 0.25
        corner = place[seen] + rng.normal(0, 1, (seen.sum(), 2))
        result.append(
            (np.hstack((corner, corner + np.array([40, 90]))), faces[seen] + rng.normal(0, 0.3, (seen.sum(), 16)))
        )
    return result


@settings(max_examples=25, deadline=None)
@given(_worlds)
def test_identities_are_unique_in_a_frame_and_every_detection_has_one(world: tuple[int, int, str]) -> None:
    tracker = Tracker(TrackerConfig(assignment=world[2]))
    for boxes, features in _world(*world[:2]):
        ids = tracker.update(boxes, features).ids
        assert len(set(ids.tolist())) == len(boxes)


@settings(max_examples=25, deadline=None)
@given(_worlds)
def test_the_order_of_detections_does_not_matter(world: tuple[int, int, str]) -> None:
    config = TrackerConfig(assignment=world[2])
    straight, shuffled = Tracker(config), Tracker(config)
    rng = np.random.default_rng(world[0])
    same: dict[int, int] = {}  # new tracks are numbered in the order of detections: identities agree up to their names
    for boxes, features in _world(*world[:2]):
        order = rng.permutation(len(boxes))
        ids = straight.update(boxes, features).ids[order]
        for left, right in zip(ids, shuffled.update(boxes[order], features[order]).ids, strict=True):
            assert same.setdefault(int(left), int(right)) == right
    assert len(set(same.values())) == len(same)


@settings(max_examples=25, deadline=None)
@given(_worlds)
def test_equal_features_make_it_the_box_tracker(world: tuple[int, int, str]) -> None:
    config = TrackerConfig(assignment=world[2])
    by_box, by_both = Tracker(config), Tracker(config)
    for boxes, _ in _world(*world[:2]):
        alike = np.zeros((len(boxes), 4))
        alike[:, 0] = 1.0
        np.testing.assert_array_equal(by_box.update(boxes, None).ids, by_both.update(boxes, alike).ids)


@settings(max_examples=25, deadline=None)
@given(_worlds)
def test_without_box_term_moving_everything_changes_nothing(world: tuple[int, int, str]) -> None:
    config = TrackerConfig(assignment=world[2], box_term=False)
    still, moved = Tracker(config), Tracker(config)
    rng = np.random.default_rng(world[0])
    for boxes, features in _world(*world[:2]):
        offset = np.tile(rng.uniform(-900, 900, (len(boxes), 2)), 2)
        np.testing.assert_array_equal(still.update(boxes, features).ids, moved.update(boxes + offset, features).ids)
