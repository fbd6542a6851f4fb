"""The ingredients of the preset `strong`, each alone, and what the whole preset shows."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from ssat.pipeline.settings import BenchmarkSettings, TrackSettings
from ssat.tracking import Tracker, TrackerConfig, Tracks
from ssat.tracking.assignment import mutual
from ssat.tracking.calibration import TARGET, Calibration
from ssat.tracking.confirmation import backdated
from ssat.tracking.distances import box_overlap
from ssat.tracking.state import FrameDetections

A, B, C = np.eye(3, 8, dtype=np.float32)
LEFT, RIGHT = [0.0, 0.0, 50.0, 100.0], [400.0, 0.0, 450.0, 100.0]


def _at(cosine: float) -> NDArray[np.float32]:
    """A feature at this cosine to A."""
    return np.array([cosine, np.sqrt(1 - cosine**2), 0, 0, 0, 0, 0, 0], np.float32)


def _moved(box: list[float], x: float) -> list[float]:
    return [box[0] + x, box[1], box[2] + x, box[3]]


def test_the_preset_names_everything_that_is_beyond_the_paper() -> None:
    for stage in (BenchmarkSettings.build("strong", {"mot": "m"}), TrackSettings.build("strong")):
        assert stage.association == TrackerConfig.strong()
        assert stage.interpolate_seconds == 1.0
    strong = TrackerConfig.strong(low_score=0.3, weak_penalty=0.1, stored_median=0.4, gallery=10)
    assert strong.extensions == (
        "motion kalman",
        "camera motion",
        "low score 0.3",
        "calibrate",
        "stored median 0.4",
        "missing appearance cost 0.3",
        "motion gate",
        "hold size",
        "weak penalty 0.1",
        "overlap pass 0.4",
        "confirm hits 3",
        "gallery 10",
    )


def test_records_from_before_an_extension_existed_stay_the_same() -> None:
    assert set(TrackerConfig().model_dump()) == {
        *("tau1", "tau2", "alpha", "beta", "lost_seconds", "box_term", "accumulate", "assignment"),
        *("motion", "camera_motion", "low_score"),
    }
    for config in (TrackerConfig.strong(), TrackerConfig.strong(gallery=10)):
        assert TrackerConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"motion_gate": True}, "motion_gate needs motion kalman"),
        ({"hold_size": True}, "hold_size needs motion kalman"),
        ({"weak_penalty": 0.1}, "weak_penalty needs low_score"),
    ],
)
def test_an_ingredient_that_could_do_nothing_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrackerConfig(**given)  # type: ignore[arg-type]


def test_overlaps() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [3, 3, 3, 3]])
    overlap = box_overlap(boxes, boxes)
    assert overlap[0].tolist() == pytest.approx([1, 50 / 150, 0, 0])
    assert overlap[3].tolist() == pytest.approx([0, 0, 0, 0])
    np.testing.assert_allclose(overlap, overlap.T)


def test_mutual_best_with_a_falling_threshold() -> None:
    cost = np.array([[0.10, 0.20, 0.9], [0.12, 0.53, 0.9], [0.9, 0.9, 0.49]])
    # Round 1 matches 0-0 and 2-2. Then 1-1 is mutual best, but 0.53 is above 0.56 - 0.05.
    assert [pairs.tolist() for pairs in mutual(cost, 0.56)] == [[0, 2], [0, 2]]
    assert [pairs.tolist() for pairs in mutual(cost, 0.60)] == [[0, 1, 2], [0, 1, 2]]
    assert [pairs.tolist() for pairs in mutual(np.zeros((0, 3)), 0.56)] == [[], []]
    assert [pairs.tolist() for pairs in mutual(np.full((2, 2), np.inf), 0.56)] == [[], []]


def _frame(cosine: float, boxes: list[list[float]]) -> FrameDetections:
    return FrameDetections(np.array(boxes), np.stack([A, _at(cosine)]), False, None, None)


def test_people_of_one_frame_are_put_at_the_target() -> None:
    calibration = Calibration()
    assert (calibration.median, calibration.scale) == (None, 1.0)
    for _ in range(19):
        calibration.add(_frame(0.8, [LEFT, RIGHT]))
    assert calibration.scale == 1.0, "too few pairs"
    for _ in range(10):
        calibration.add(_frame(0.8, [LEFT, RIGHT]))
    assert calibration.median == pytest.approx(0.2, abs=0.005)
    assert calibration.scale * 0.2 == pytest.approx(TARGET, rel=0.03)
    for _ in range(300):  # other people, other light: the earlier frames are forgotten
        calibration.add(_frame(0.5, [LEFT, RIGHT]))
    assert calibration.median == pytest.approx(0.5, abs=0.005)


def test_boxes_that_may_show_one_person_do_not_calibrate() -> None:
    calibration = Calibration()
    apart, weak = np.array([LEFT, RIGHT]), np.array([False, True])
    for _ in range(50):
        calibration.add(_frame(0.8, [LEFT, _moved(LEFT, 10)]))  # IoU 0.67
        calibration.add(FrameDetections(apart, None, False, None, None))
        calibration.add(FrameDetections(apart, np.stack([A, 0 * A]), True, None, None))
        calibration.add(FrameDetections(apart, np.stack([A, B]), False, None, weak))
    assert calibration.histogram.sum() == 0


def test_a_stored_median_counts_until_the_footage_says_otherwise() -> None:
    assert Calibration(0.4).scale == pytest.approx(TARGET / 0.4, rel=0.02)
    tracker = Tracker(TrackerConfig(calibrate=True, stored_median=0.1, box_term=False))
    tracker.update([LEFT, RIGHT], [A, B])
    # A cosine of 0.9 is as far as two people are here: 0.8 is above both thresholds.
    assert tracker.update([LEFT], [_at(0.9)]).ids.tolist() == [3]
    plain = Tracker(TrackerConfig(box_term=False))
    plain.update([LEFT, RIGHT], [A, B])
    assert plain.update([LEFT], [_at(0.9)]).ids.tolist() == [1]


def test_too_few_pairs_fall_back_and_say_so() -> None:
    for stored, instead in ((None, "left as it is"), (0.4, "scaled by the stored median 0.4")):
        calibration = Calibration(stored)
        calibration.add(FrameDetections(np.array([LEFT, RIGHT]), None, False, None, None))
        assert calibration.fallback is None, "there was no appearance to calibrate"
        for _ in range(19):
            calibration.add(_frame(0.8, [LEFT, RIGHT]))
        assert calibration.fallback is not None
        assert calibration.fallback.startswith("19 pairs of people in one frame, fewer than 20")
        assert calibration.fallback.endswith(instead)
        assert calibration.median == stored
        calibration.add(_frame(0.8, [LEFT, RIGHT]))
        assert calibration.fallback is None


def test_position_must_agree_better_if_an_appearance_is_missing() -> None:
    moved = _moved(LEFT, 24)  # box cost 24 * sqrt(2) / (0.5 * 300) = 0.23
    for cost, expected in ((0.3, [1]), (0.35, [2])):  # below and above tau1 with it
        for first, second in (([A], [0 * A]), ([0 * A], [A]), (None, None)):
            tracker = Tracker(TrackerConfig(alpha=0.5, missing_appearance_cost=cost))
            tracker.update([LEFT], first)
            assert tracker.update([moved], second).ids.tolist() == expected
        tracker = Tracker(TrackerConfig(alpha=0.5, missing_appearance_cost=cost))
        tracker.update([LEFT], [A])
        assert tracker.update([moved], [A]).ids.tolist() == [1], "both are known"


def test_the_gate_forbids_a_jump_that_the_motion_makes_improbable() -> None:
    for gate, expected in ((True, [2]), (False, [1])):
        tracker = Tracker(TrackerConfig(motion="kalman", motion_gate=gate, alpha=100))
        for step in range(10):
            assert tracker.update([_moved(LEFT, 4 * step)], [A]).ids.tolist() == [1]
        assert tracker.update([_moved(LEFT, 120)], [A]).ids.tolist() == expected


def test_a_lost_track_keeps_its_size_and_moves_on() -> None:
    """A box that shrinks while somebody is covered shrinks to nothing where the filter extrapolates it."""
    boxes = {}
    for hold in (True, False):
        tracker = Tracker(TrackerConfig(motion="kalman", hold_size=hold))
        for step in range(10):
            tracker.update([[4.0 * step, 0.0, 4.0 * step + 50, 100.0 - 4 * step]], [A])
        last = tracker.state.boxes[0].copy()
        for _ in range(10):
            tracker.update([], None)
        boxes[hold] = tracker.state.boxes[0]
        assert boxes[hold][0] - last[0] == pytest.approx(40, abs=6), "the centre goes on"
    assert boxes[True][3] - boxes[True][1] == pytest.approx(64, abs=6)
    assert boxes[False][3] - boxes[False][1] < 35


def test_the_last_round_goes_by_overlap_unless_it_shows_somebody_else() -> None:
    """D_cos 0.7 is above the thresholds; 1.0 and more is another person, however well the box fits."""
    for cosine, expected in ((0.3, [1]), (-0.2, [2])):
        tracker = Tracker(TrackerConfig(overlap_pass=0.3))
        tracker.update([LEFT], [A])
        assert tracker.update([_moved(LEFT, 5)], [_at(cosine)]).ids.tolist() == expected
    assert [one.name for one in Tracker(TrackerConfig(overlap_pass=1)).method.passes] == [
        "tracked tracks",
        "lost tracks",
    ]
    tracker = Tracker(TrackerConfig(overlap_pass=0.3))
    tracker.update([LEFT], [A])
    assert tracker.update([_moved(LEFT, 30)], [_at(0.3)]).ids.tolist() == [2], "IoU 0.25"
    tracker = Tracker(TrackerConfig(overlap_pass=0.3))
    tracker.update([LEFT], [A])
    tracker.update([_moved(LEFT, 5)], [_at(0.3)])
    assert tracker.state.features is not None
    np.testing.assert_allclose(tracker.state.features, [A], err_msg="what it looked like is in doubt")
    tracker.update([], None)
    assert tracker.update([_moved(LEFT, 5)], [_at(0.3)]).ids.tolist() == [2], "only tracks just seen"


def test_a_gallery_knows_an_earlier_look() -> None:
    for size, expected in ((4, [1]), (0, [2])):
        tracker = Tracker(TrackerConfig(gallery=size, box_term=False, beta=1.0))
        tracker.update([LEFT], [A])
        # The first slot keeps the newest feature of the first hits.
        for cosine in (1, 1, 1, 0.9, 0.6, 0.3, 0, 0, 0, 0):
            assert tracker.update([LEFT], [_at(cosine)]).ids.tolist() == [1]
        assert tracker.update([LEFT], [A]).ids.tolist() == expected


def test_weak_detections_join_in_behind_the_others() -> None:
    tracker = Tracker(TrackerConfig(low_score=0.5, weak_penalty=0.2))
    assert tracker.update([LEFT, RIGHT], [A, B], [0.9, 0.3]).ids.tolist() == [1], "a weak one starts no track"
    both = tracker.update([LEFT, _moved(LEFT, 2)], [A, _at(0.9)], [0.2, 0.9])
    assert both.detection_index.tolist() == [1], "0.2 dearer than what it looks like"
    alone = tracker.update([LEFT], [A], [0.2])
    assert (alone.ids.tolist(), alone.detection_index.tolist()) == ([1], [0])


def test_a_new_track_is_shown_from_its_third_hit() -> None:
    tracker = Tracker(TrackerConfig(confirm_hits=3))
    shown = [tracker.update([LEFT], [A]) for _ in range(4)]
    assert [tracks.ids.tolist() for tracks in shown] == [[], [], [1], [1]]
    assert shown[0].unconfirmed is not None
    assert shown[0].unconfirmed.ids.tolist() == [1]
    # A false alarm of two frames is never shown, and leaves no track behind.
    twice = [tracker.update([LEFT, RIGHT], [A, B]) for _ in range(2)] + [tracker.update([LEFT], [A])]
    assert [tracks.ids.tolist() for tracks in twice] == [[1], [1], [1]]
    assert tracker.n_alive == 1
    # A confirmed one outlives a miss.
    tracker.update([], None)
    assert tracker.update([LEFT], [A]).ids.tolist() == [1]


def test_files_show_a_confirmed_track_from_its_beginning() -> None:
    tracker = Tracker(TrackerConfig(confirm_hits=3))
    frames = [[LEFT], [LEFT, RIGHT], [LEFT, RIGHT], [LEFT]]
    features = [[A], [A, B], [A, B], [A]]
    scores = [[0.9], [0.8, 0.7], [0.6, 0.5], [0.4]]

    def updates() -> list[tuple[int, Tracks]]:
        return [(at, tracker.update(*given)) for at, given in enumerate(zip(frames, features, scores, strict=True))]

    shown = list(backdated(iter(updates()), 3))
    assert [at for at, _ in shown] == [0, 1, 2, 3]
    assert [tracks.ids.tolist() for _, tracks in shown] == [[1]] * 4
    given = [None if tracks.scores is None else tracks.scores.tolist() for _, tracks in shown]
    assert given == [[0.9], [0.8], [0.6], [0.4]]
    assert [tracks.detection_index.tolist() for _, tracks in shown] == [[0]] * 4


def test_no_frame_waits_where_tracks_are_shown_at_once() -> None:
    given: list[int] = []

    def frames() -> object:
        for at in range(3):
            given.append(at)
            yield at, Tracks(np.array([1]), np.array([LEFT]), np.array([0]))

    for at, _ in backdated(frames(), 1):  # type: ignore[arg-type]
        assert given[-1] == at
