"""What a caller may ask of the tracker beyond the paper's two rounds."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings, TrackSettings
from ssat.tracking import Tracker, TrackerConfig
from ssat.tracking.assignment import greedy
from ssat.tracking.passes import Pass, not_weak, tracked
from ssat.tracking.state import FrameDetections, TrackState
from ssat.tracking.tracker import Association

A, B, C = np.eye(3, 8, dtype=np.float32)
LEFT, RIGHT = [0.0, 0.0, 50.0, 100.0], [400.0, 0.0, 450.0, 100.0]


def test_the_defaults_are_the_papers_and_every_departure_is_named() -> None:
    paper = TrackerConfig()
    assert (paper.tau1, paper.tau2, paper.alpha, paper.beta, paper.lost_seconds) == (0.56, 0.64, 2.0, 0.4, 1.0)
    assert (paper.box_term, paper.accumulate, paper.assignment) == (True, True, "greedy")
    assert paper.departures == paper.extensions == ()
    for stage in (BenchmarkSettings.build("paper", {"mot": "m"}), TrackSettings.build("paper")):
        assert stage.association == paper
    for stage in (BenchmarkSettings.build("quick", {"mot": "m"}), TrackSettings.build("quick")):
        assert stage.association.departures == ("alpha 1.0 instead of 2.0",)
        assert stage.association.extensions == ()
    beyond = TrackerConfig(motion="kalman", camera_motion=True, low_score=0.1, box_term=False)
    assert beyond.departures == ("box_term False instead of True",)
    assert beyond.extensions == ("motion kalman", "camera motion", "low score 0.1")


def test_an_init_rule_leaves_other_detections_out_of_the_answer() -> None:
    tracker = Tracker()
    asked: list[list[int]] = []

    def only_the_second(rows: np.ndarray) -> np.ndarray:
        asked.append(rows.tolist())
        return rows == 1

    first = tracker.update([LEFT, RIGHT], [A, B], [0.9, 0.8], init_rule=only_the_second)
    assert (first.ids.tolist(), first.detection_index.tolist()) == ([1], [1])
    assert first.boxes.tolist() == [RIGHT]
    assert first.scores is not None
    assert first.scores.tolist() == [0.8]
    second = tracker.update([LEFT, RIGHT], [A, B], [0.9, 0.8], init_rule=lambda rows: np.zeros(len(rows), bool))
    assert second.ids.tolist() == [1]
    assert asked == [[0, 1]], "who is matched needs no support"
    assert tracker.n_alive == 1


def test_weak_detections_continue_tracks_and_begin_none() -> None:
    tracker = Tracker(TrackerConfig(low_score=0.5))
    assert tracker.update([LEFT, RIGHT], [A, B], [0.9, 0.3]).ids.tolist() == [1]
    weak = tracker.update([LEFT], [A], [0.2])
    assert (weak.ids.tolist(), weak.detection_index.tolist()) == ([1], [0])
    # Strong ones come first, whatever the distances.
    turned = np.array([0.8, 0.6, 0, 0, 0, 0, 0, 0], np.float32)
    both = tracker.update([LEFT, LEFT], [A, turned], [0.2, 0.9])
    assert (both.ids.tolist(), both.detection_index.tolist()) == ([1], [1])
    # A lost track is not found again by a weak detection.
    tracker.update([], None, [])
    assert len(tracker.update([LEFT], [A], [0.2])) == 0
    assert tracker.update([LEFT], [A], [0.9]).ids.tolist() == [1]


def test_a_weak_detection_leaves_the_known_appearance_alone() -> None:
    tracker = Tracker(TrackerConfig(low_score=0.5))
    tracker.update([LEFT], [A], [0.9])
    turned = np.array([0.7, math.sqrt(1 - 0.49), 0, 0, 0, 0, 0, 0], np.float32)
    tracker.update([LEFT], [turned], [0.2])
    assert tracker.state.features is not None
    np.testing.assert_allclose(tracker.state.features, [A])


def test_without_scores_or_without_the_setting_all_are_alike() -> None:
    for tracker, scores in ((Tracker(TrackerConfig(low_score=0.5)), None), (Tracker(), [0.9, 0.1])):
        assert tracker.update([LEFT, RIGHT], [A, B], scores).ids.tolist() == [1, 2]


def test_frames_that_nobody_saw_age_the_tracks() -> None:
    for skipped, same in ((29, True), (30, False)):
        tracker = Tracker(frame_rate=30)
        tracker.update([LEFT], [A])
        tracker.skip(skipped)
        tracker.update([], None)
        assert (tracker.update([LEFT], [A]).ids.tolist() == [1]) is same
    tracker.skip(0)
    assert tracker.n_alive == 1


def test_lost_tracks_can_be_asked_for() -> None:
    tracker = Tracker()
    tracker.update([LEFT, RIGHT], [A, B])
    tracker.update([LEFT], [A])
    ids, boxes = tracker.lost
    assert (ids.tolist(), boxes.tolist()) == ([2], [RIGHT])


def test_an_observer_sees_what_the_frame_was_decided_by_and_changes_nothing() -> None:
    seen: list[Association] = []
    watched, alone = Tracker(frame_rate=2), Tracker(frame_rate=2)
    watched.observer = seen.append
    frames = [([LEFT, RIGHT], [A, B]), ([LEFT], [B]), ([LEFT], [A]), ([RIGHT], [C]), ([RIGHT], [C])]
    for boxes, features in frames:
        np.testing.assert_array_equal(watched.update(boxes, features).ids, alone.update(boxes, features).ids)
    second = seen[1]
    assert (second.before.ids.tolist(), second.before.time_since_update.tolist()) == ([1, 2], [0, 0])
    appearance, box = second.terms["appearance"], second.terms["box"]
    assert appearance is not None
    assert box is not None
    np.testing.assert_allclose(appearance, [[1.0], [0.0]], atol=1e-6)
    assert [one.definition.name for one in second.passes] == ["tracked tracks", "lost tracks"]
    np.testing.assert_array_equal(appearance + box, second.passes[0].cost)
    assert [one.new.tolist() for one in seen] == [[1, 2], [3], [], [4], []]
    assert [one.ended.tolist() for one in seen] == [[], [], [], [2], [3]]


def test_empty_lists_in_empty_frames_change_nothing() -> None:
    tracker, other = Tracker(), Tracker()
    for one in (tracker, other):
        one.update([LEFT, RIGHT], [A, B])
    for boxes, features, scores in (([], [], []), (np.empty((0, 4)), np.empty((0, 0)), None), ([], np.empty(0), [])):
        assert len(tracker.update(boxes, features, scores)) == 0
        other.update([], None)
    np.testing.assert_array_equal(tracker.update([RIGHT], [B]).ids, other.update([RIGHT], [B]).ids)


@pytest.mark.parametrize("kind", ["gradients", "bfloat16", "list of tensors"])
def test_torch_tensors_are_accepted(kind: str) -> None:
    torch = pytest.importorskip("torch")
    boxes, features = torch.tensor([LEFT, RIGHT]), torch.tensor(np.stack([A, B]))
    scores = torch.tensor([0.9, 0.8])
    if kind == "gradients":
        boxes, features, scores = (one.requires_grad_() for one in (boxes, features, scores))
    elif kind == "bfloat16":
        features, scores = features.bfloat16(), scores.bfloat16()
    else:
        boxes, features = list(boxes), list(features)
    tracks = Tracker().update(boxes, features, scores)
    assert tracks.ids.tolist() == [1, 2]
    assert tracks.boxes.tolist() == [LEFT, RIGHT]
    assert tracks.scores is not None
    assert tracks.scores.tolist() == pytest.approx([0.9, 0.8], abs=4e-3)


@pytest.mark.parametrize(
    ("boxes", "features", "message"),
    [
        ([["a", "b", "c", "d"]], None, r"boxes have dtype <U1 and shape \(1, 4\)"),
        ([LEFT, [1.0]], None, "boxes cannot be converted"),
        ([LEFT], [[A]], r"features have shape \(1, 1, 8\) and dtype float32"),
        ([LEFT], [[1j, 2j]], "features have dtype complex128"),
        ([[LEFT]], None, r"boxes have shape \(1, 1, 4\) and dtype float64"),
    ],
)
def test_wrong_types_and_shapes_are_named(boxes: object, features: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tracker().update(boxes, features)  # type: ignore[arg-type]


@pytest.mark.parametrize("scores", [[math.nan], [math.inf], [0.5, 0.5], 0.5])
def test_scores_that_do_not_fit(scores: object) -> None:
    with pytest.raises(InputError, match="score"):
        Tracker().update([LEFT], [A], scores)  # type: ignore[arg-type]


def test_a_frame_without_detections_needs_no_features_even_without_box_term() -> None:
    tracker = Tracker(TrackerConfig(box_term=False))
    tracker.update([LEFT], [A])
    assert len(tracker.update([], None)) == 0
    assert tracker.update([RIGHT], [A]).ids.tolist() == [1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.sampled_from(["none", "kalman"]),
    st.sampled_from([None, 0.5]),
)
def test_a_track_never_revives_after_its_life(
    life: int, visible: list[bool], motion: str, low_score: float | None
) -> None:
    config = TrackerConfig(motion=motion, low_score=low_score)  # type: ignore[arg-type]
    tracker = Tracker(config, frame_rate=life)
    expected, gap = 1, 0
    tracker.update([LEFT], [A], [0.9])
    for here in visible:
        if not here:
            tracker.update([], None, [])
            gap += 1
            continue
        if gap > life:
            expected += 1
        gap = 0
        assert tracker.update([LEFT], [A], [0.9]).ids.tolist() == [expected]
        assert tracker.n_alive == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["none", "kalman"]), st.sampled_from([None, 0.3]), st.booleans())
def test_with_every_extension_identities_stay_unique_and_order_does_not_matter(
    seed: int, motion: str, low_score: float | None, camera_motion: bool
) -> None:
    config = TrackerConfig(motion=motion, low_score=low_score, camera_motion=camera_motion)  # type: ignore[arg-type]
    straight, shuffled = Tracker(config, 5), Tracker(config, 5)
    rng = np.random.default_rng(seed)
    faces, place = rng.normal(size=(6, 16)), rng.uniform(0, 600, (6, 2))
    same: dict[int, int] = {}
    for _ in range(15):
        place += rng.normal(0, 10, place.shape)
        seen = rng.random(6) > 0.3
        boxes = np.hstack((place, place + np.array([40, 90])))[seen]
        features, scores = faces[seen] + rng.normal(0, 0.3, (seen.sum(), 16)), rng.random(seen.sum())
        camera = np.array([[1.0, 0.0, rng.normal()], [0.0, 1.0, rng.normal()]])
        order = rng.permutation(len(boxes))
        one = straight.update(boxes, features, scores, camera=camera)
        other = shuffled.update(boxes[order], features[order], scores[order], camera=camera)
        assert len(set(one.ids.tolist())) == len(one)
        by_detection = dict(zip(one.detection_index.tolist(), one.ids.tolist(), strict=True))
        assert len(one) == len(other)
        for index, identity in zip(other.detection_index.tolist(), other.ids.tolist(), strict=True):
            assert same.setdefault(by_detection[int(order[index])], identity) == identity


def test_a_cost_term_and_a_pass_are_added_from_outside() -> None:
    class Forbidden:
        name = "forbidden"

        def __call__(self, state: TrackState, detections: FrameDetections) -> np.ndarray:
            left_TD = np.outer(state.boxes[:, 0] < 100, detections.boxes[:, 0] < 100)
            return np.where(left_TD, np.inf, 0.0)

    tracker = Tracker()
    tracker.method.terms.append(Forbidden())
    tracker.method.passes[:2] = [
        replace(one, terms=(*one.terms, "forbidden"), threshold=0.1) for one in tracker.method.passes
    ]
    tracker.method.passes.append(Pass("far", tracked, not_weak, ("box",), 5.0, greedy))
    assert tracker.update([LEFT], [A]).ids.tolist() == [1]
    assert tracker.update([RIGHT], [B]).ids.tolist() == [1], "only the added pass lets this pair match"
    tracker.method.passes.pop()
    assert tracker.update([LEFT], [A]).ids.tolist() == [2]
    assert tracker.update([LEFT], [A]).ids.tolist() == [3], "the added term forbids the pair"
