"""People who return after their track ended, and get their identity back."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ssat.tracking import Tracker, TrackerConfig, load_tracker, save_tracker
from ssat.tracking.explain import Explainer
from ssat.tracking.long_memory import ATTEMPTS, MIN_DIFFERENT, LongMemory
from ssat.tracking.tracker import Association

_PEOPLE = 8
_SECONDS = 60.0


def _features(rng: np.random.Generator, who: list[int]) -> NDArray[np.float32]:
    """Noisy features of people, each of whom has a direction of their own and a common one."""
    faces = np.eye(_PEOPLE, 32) + 0.5
    return (faces[who] + rng.normal(0, 0.02, (len(who), 32))).astype(np.float32)


def _boxes(who: list[int]) -> NDArray[np.float64]:
    left = 100.0 * np.array(who, float)
    return np.stack([left, 0 * left, left + 40, 0 * left + 100], axis=1)


def _walk(tracker: Tracker, rng: np.random.Generator, who: list[int], frames: int) -> list[dict[int, int]]:
    """Person → identity shown, frame by frame."""
    shown = []
    for _ in range(frames):
        tracks = tracker.update(_boxes(who), _features(rng, who))
        shown.append({who[row]: int(i) for row, i in zip(tracks.detection_index, tracks.ids, strict=True)})
    return shown


def _light(rng: np.random.Generator, who: list[int], seconds: float) -> NDArray[np.float32]:
    """Features of people under a light that swings by more than they differ."""
    swing = np.zeros(32)
    swing[20:] = 2.0 * np.sin(seconds)
    return _features(rng, who) + swing.astype(np.float32)


def _tracker(**changes: object) -> Tracker:
    given: dict[str, object] = {"lost_seconds": 1.0, "remember_seconds": _SECONDS} | changes
    return Tracker(TrackerConfig.model_validate(given), frame_rate=10)


def test_who_returns_is_recognised_after_a_while_and_a_stranger_is_not() -> None:
    rng = np.random.default_rng(0)
    tracker = _tracker()
    before = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1]
    _walk(tracker, rng, [1, 2, 3, 4], 100)  # 0 is away for 10 s, longer than a track lives
    after = _walk(tracker, rng, [0, 1, 2, 3, 4, 5], 80)
    assert after[0][0] not in before.values(), "at first the track has an identity of its own"
    assert after[ATTEMPTS[0] - 1][0] == before[0], "from its 24th frame on the former one"
    assert after[-1] == {**before, 5: after[0][5]}, "5 was never here"
    assert tracker.state.ids.tolist() == sorted(tracker.state.ids.tolist())


def test_the_change_is_announced_once_and_explained() -> None:
    rng = np.random.default_rng(1)
    tracker = _tracker()
    explainer, of_return = Explainer(1, tracker.config), Explainer(6, tracker.config)

    def observe(given: Association) -> None:
        explainer(given)
        of_return(given)

    tracker.observer = observe
    regained = []
    for who, frames in (([0, 1, 2, 3, 4], 80), ([1, 2, 3, 4], 50), ([0, 1, 2, 3, 4], 80)):
        for _ in range(frames):
            explainer.seen(0, None)
            of_return.seen(0, None)
            regained += tracker.update(_boxes(who), _features(rng, who)).regained
    assert regained == [(6, 1)]
    text = explainer.text()
    assert "found again by appearance after an absence: identity 6 until now, 1 from now on; nearest identity 1" in text
    assert "given back" in text
    story = [moment.text for moment in of_return.moments]
    assert story[0].startswith("began")
    assert story[-1].startswith("continues under its former identity, found again by appearance")
    assert not any(text.startswith(("lost", "ended")) for text in story)
    assert "still tracked" not in of_return.text()


def test_it_is_explained_why_a_stranger_gets_no_former_identity() -> None:
    rng = np.random.default_rng(1)
    tracker = _tracker()
    explainer = Explainer(6, tracker.config)  # of person 5, who was never here
    tracker.observer = explainer
    for who, frames in (([0, 1, 2, 3, 4], 80), ([1, 2, 3, 4], 50), ([1, 2, 3, 4, 5], 80)):
        for _ in range(frames):
            explainer.seen(0, None)
            tracker.update(_boxes(who), _features(rng, who))
    text = explainer.text()
    compared = len([attempt for attempt in ATTEMPTS if attempt <= 80])
    assert text.count("compared with the people who left: nearest identity 1 at distance") == compared
    assert text.count(": too far") + text.count(": another person is too near") >= compared
    assert "it was still tracked when the input ended" in text


@pytest.mark.parametrize(
    ("changes", "away"),
    [({"remember_seconds": 0.0}, 100), ({"remember_seconds": 5.0}, 100), ({"false_join_rate": 1e-12}, 100)],
)
def test_nobody_is_recognised(changes: dict[str, object], away: int) -> None:
    """Without a memory, after too long, and where no distance is small enough for the stated rate."""
    rng = np.random.default_rng(2)
    tracker = _tracker(**changes)
    before = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1]
    _walk(tracker, rng, [1, 2, 3, 4], away)
    assert _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1][0] not in before.values()


def test_two_people_who_look_alike_are_not_taken_for_each_other() -> None:
    rng = np.random.default_rng(3)
    tracker = _tracker()
    alike = np.eye(_PEOPLE, 32) + 0.5
    alike[5] = alike[0] + 0.02
    before = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1]
    who = [5, 1, 2, 3, 4, 0]
    for _ in range(80):  # 0 goes on while their double comes in: the double is beside them, so somebody else
        noise = rng.normal(0, 0.02, (6, 32))
        tracks = tracker.update(_boxes(who), (alike[who] + noise).astype(np.float32))
    assert dict(zip(tracks.detection_index.tolist(), tracks.ids.tolist(), strict=True))[5] == before[0]
    assert len(set(tracks.ids.tolist())) == 6


def test_who_was_seen_since_the_track_began_is_somebody_else() -> None:
    """A double of person 0 comes in, then person 0 leaves: no frame may show one identity twice."""
    rng = np.random.default_rng(3)
    tracker = _tracker()
    faces = np.eye(_PEOPLE, 32) + 0.5
    faces[6] = faces[0]
    shown = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)
    for who, frames in (([0, 1, 2, 3, 4, 6], 10), ([1, 2, 3, 4, 6], 110)):
        for _ in range(frames):
            noise = rng.normal(0, 0.02, (len(who), 32))
            tracks = tracker.update(_boxes(who), (faces[who] + noise).astype(np.float32))
            shown.append({who[row]: int(i) for row, i in zip(tracks.detection_index, tracks.ids, strict=True)})
    assert {frame[6] for frame in shown if 6 in frame} == {6}
    assert tracker.method.long_memory is not None
    assert tracker.method.long_memory.ids.tolist() == [1]


def test_too_few_pairs_recognise_nobody() -> None:
    rng = np.random.default_rng(4)
    tracker = _tracker()
    before = _walk(tracker, rng, [0, 1], 80)[-1]
    _walk(tracker, rng, [1], 50)
    assert _walk(tracker, rng, [0, 1], 80)[-1][0] != before[0]
    memory = tracker.method.long_memory
    assert memory is not None
    assert 0 < len(memory.different) < MIN_DIFFERENT


def test_a_saved_tracker_remembers(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    tracker = _tracker()
    before = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1]
    _walk(tracker, rng, [1, 2, 3, 4], 50)
    restored = load_tracker(save_tracker(tracker, tmp_path / "tracker.safetensors"))
    assert _walk(restored, rng, [0, 1, 2, 3, 4], 80)[-1] == before


def test_people_are_recognised_under_another_light() -> None:
    """The light moves all features by more than two people differ: what varies within tracks is discounted."""
    rng = np.random.default_rng(6)
    tracker = _tracker()
    shown, time = [], 0.0
    for who, frames in (([0, 1, 2, 3, 4], 80), ([1, 2, 3, 4], 57), ([0, 1, 2, 3, 4], 80)):
        for _ in range(frames):
            tracks = tracker.update(_boxes(who), _light(rng, who, time))
            shown.append({who[row]: int(i) for row, i in zip(tracks.detection_index, tracks.ids, strict=True)})
            time += 0.1
    assert shown[-1] == shown[79]


def test_the_features_of_all_visits_are_remembered_together() -> None:
    rng = np.random.default_rng(7)
    tracker = _tracker()
    before = _walk(tracker, rng, [0, 1, 2, 3, 4], 80)[-1]
    _walk(tracker, rng, [1, 2, 3, 4], 50)
    _walk(tracker, rng, [0, 1, 2, 3, 4], 40)
    _walk(tracker, rng, [1, 2, 3, 4], 50)
    memory = tracker.method.long_memory
    assert memory is not None
    assert memory.ids.tolist() == [before[0]]
    assert memory.earlier == {}
    assert np.linalg.norm(memory.feature_sums[0]) == pytest.approx(80 + 40, rel=0.01)


def test_a_memory_of_the_former_content_is_converted() -> None:
    memory = LongMemory(life=100, false_join_rate=0.01)
    means = np.eye(2, 8, dtype=np.float32)
    memory.restore({"ids": np.array([3, 5]), "means": means, "age": np.array([1, 2]), "sums": np.zeros(3)})
    np.testing.assert_array_equal(memory.feature_sums, means)
    assert memory.ended == 2
    np.testing.assert_array_equal(memory.ended_sum, means.sum(axis=0))
