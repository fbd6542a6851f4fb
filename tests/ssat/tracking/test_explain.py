import numpy as np
import pytest

from ssat.errors import InputError
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.explain import Explainer

A, B, C = np.eye(3, 8, dtype=np.float32)
LEFT, RIGHT = [10.0, 10.0, 40.0, 90.0], [150.0, 10.0, 180.0, 90.0]
_IMAGE = np.full((100, 200, 3), 90, np.uint8)


def _watched(identity: int, frames: list[tuple[list[list[float]], list[np.ndarray]]]) -> Explainer:
    tracker = Tracker(TrackerConfig(), frame_rate=2)
    explainer = Explainer(identity, tracker.config)
    tracker.observer = explainer
    for number, (boxes, features) in enumerate(frames, start=1):
        explainer.seen(number, _IMAGE)
        tracker.update(boxes, np.array(features).reshape(len(boxes), 8))
    return explainer


def test_a_life_is_told_with_the_distances_and_thresholds_of_its_frames() -> None:
    turned = np.array([0.6, 0.8, 0, 0, 0, 0, 0, 0], np.float32)
    explainer = _watched(
        2,
        [
            ([LEFT], [A]),
            ([LEFT, RIGHT], [A, B]),  # 2 begins
            ([LEFT, RIGHT], [A, B]),
            ([LEFT], [turned]),  # 1 matches; 2 is lost although 0.2 away: another pair was nearer
            ([LEFT, RIGHT], [A, B]),  # found again
            ([LEFT], [A]),
            ([LEFT], [A]),
            ([LEFT], [A]),  # 3 frames lost at 2 fps: dropped
        ],
    )
    text = explainer.text()
    assert "frame 2: began: no free track was near enough" in text
    assert (
        "track 1 (tracked), pass tracked tracks: cost 1.450 = appearance 1.000 + box 0.450, threshold 0.56: too far"
        in text
    )
    assert "frame 4: lost: no free detection was near enough" in text
    assert "pass tracked tracks: cost 0.650 = appearance 0.200 + box 0.450, threshold 0.56: too far" in text
    assert "frame 5: found again after 1 frame" in text
    assert "frame 8: ended: lost since frame 6, longer than 1 s" in text
    assert "the nearest detection came in frame 7" in text
    assert "seen in 3 frames, the last one is 5" in text
    assert "still tracked" not in text


def test_who_was_there_at_the_end_and_who_never_was() -> None:
    frames = [([LEFT], [A])] * 3
    text = _watched(1, frames).text()
    assert "frame 1: began: there was no track before it" in text
    assert "still tracked when the input ended" in text
    with pytest.raises(InputError, match="identity 9 does not occur"):
        _watched(9, frames).text()


def test_a_detection_that_went_to_another_is_named() -> None:
    near = [[10.0, 10, 40, 90], [14.0, 10, 44, 90]]
    text = _watched(2, [(near, [A, A]), (near[:1], [A])]).text()
    assert "frame 2: lost" in text
    assert "detection of identity 1, pass tracked tracks: cost 0.013" in text
    assert "identity 1 was nearer" in text


def test_every_pass_and_term_is_named() -> None:
    tracker = Tracker(TrackerConfig(low_score=0.5), frame_rate=2)
    explainer = Explainer(1, tracker.config)
    tracker.observer = explainer
    far = [290.0, 10.0, 320.0, 90.0]
    for number, (box, score) in enumerate([(LEFT, 0.9), (far, 0.2), (LEFT, 0.9)], start=1):
        explainer.seen(number, None)
        tracker.update([box], None, [score])
    text = explainer.text()
    assert "detection without identity, pass weak detections: cost 0.900 = box alone, threshold 0.56: too far" in text
    assert "the detection, pass lost tracks: cost 0.000 = box alone, threshold 0.64: matched" in text


def _told(identity: int, config: TrackerConfig, frames: list[tuple[list[list[float]], list[np.ndarray]]]) -> str:
    tracker = Tracker(config, frame_rate=10)
    explainer = Explainer(identity, config)
    tracker.observer = explainer
    for number, (boxes, features) in enumerate(frames, start=1):
        explainer.seen(number, None)
        tracker.update(boxes, np.array(features).reshape(len(boxes), 8))
    return explainer.text()


def test_the_ingredients_of_strong_are_named_where_they_decide() -> None:
    config = TrackerConfig.strong(stored_median=0.5, camera_motion=False)
    seen = [([LEFT, RIGHT], [A, B])] * 4
    jumped = [LEFT[0] + 90, LEFT[1], LEFT[2] + 90, LEFT[3]]
    text = _told(1, config, [*seen, ([jumped, RIGHT], [A, B]), ([LEFT, RIGHT], [A, B])])
    assert "pass tracked tracks: cost inf = appearance 0.000 + box" in text
    assert "motion gate inf, threshold 0.56: forbidden by motion gate" in text
    assert "pass overlap: cost 1.000 = overlap 1.000 + appearance gate 0.000, threshold 0.6: too far" in text
    assert "(appearance calibrated: 1 - cosine times " in text
    other = _told(1, config, [*seen, ([LEFT, RIGHT], [C, B])])
    assert "appearance gate inf, threshold 0.6: forbidden by appearance gate" in other


def test_a_track_that_was_never_confirmed_says_so() -> None:
    text = _told(2, TrackerConfig(confirm_hits=3), [([LEFT, RIGHT], [A, B])] * 2 + [([LEFT], [A])])
    assert "frame 3: ended: missed before it was confirmed, after 2 of 3 frames; it is not in the result" in text
    assert "lost since" not in text
