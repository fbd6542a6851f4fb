import numpy as np
import pytest

from ssat.errors import InputError
from ssat.tracking.probe import ProbeFootage, calibrated, purity, weighted_area
from tests.ssat.tracking.test_tracklets import walkers

PEOPLE = [(0.0, 0.0), (0.0, 100.0), (0.0, 200.0)]


def footage(n_frames: int = 60) -> tuple[ProbeFootage, np.ndarray]:
    """Three people who walk side by side for `n_frames` at 10 fps, and who is who."""
    frames, boxes = walkers(n_frames, PEOPLE)
    return ProbeFootage.of_boxes(frames, boxes, 10.0), np.tile(np.arange(3), n_frames)


def test_area_is_the_share_of_pairs_in_the_right_order() -> None:
    same, equal = np.array([True, True, False, False]), np.ones(4)
    assert weighted_area(np.array([3, 2, 0, 1]), same, equal) == 1.0
    assert weighted_area(np.array([2, 0, 1, 1]), same, equal) == 0.5
    assert weighted_area(np.array([0, 0, 0, 0]), same, equal) == 0.5
    # The first positive counts three times: 3 of 4 weighted pairs are in order.
    assert weighted_area(np.array([2, 0, 1, 1]), same, np.array([3.0, 1, 1, 1])) == 0.75


def test_pairs_of_known_footage() -> None:
    probe, _ = footage()
    one_second = probe.pairs[1]
    # 50 anchors, each with 3 people then and 3 people a second later.
    assert (int(one_second.same.sum()), int((~one_second.same).sum())) == (150, 300)
    assert probe.n_tracklets == 3
    assert len(probe.same_frame) == 60 * 3


def test_a_feature_that_tells_people_apart_scores_one_and_noise_a_half() -> None:
    probe, who = footage()
    ideal = np.eye(3, dtype=np.float32)[who]
    score = probe.score(ideal)
    assert [gap.auc for gap in score.gaps] == [1.0, 1.0, 1.0]
    assert score.gaps[1].same_cost == (0, 0, 0)
    assert score.gaps[1].different_cost == (1, 1, 1)
    assert score.calibration.scale == pytest.approx(0.8)
    noise = np.random.default_rng(0).standard_normal((len(who), 16)).astype(np.float32)
    assert probe.score(noise).auc == pytest.approx(0.5, abs=0.03)
    assert probe.score(noise).gaps[1].low < 0.5 < probe.score(noise).gaps[1].high


def test_features_without_appearance_are_left_out() -> None:
    probe, who = footage()
    features = np.eye(3, dtype=np.float32)[who]
    features[who == 2] = 0
    assert probe.score(features).gaps[1].positives == 100


def test_people_who_never_share_a_frame_are_not_negatives() -> None:
    frames, boxes = walkers(30, PEOPLE[:2])
    left = (boxes[:, 1] == 0) & (frames > 10)  # the first leaves after a second
    new = walkers(30, [(1000.0, 0.0)])
    late = new[0] > 10  # a third comes, who may be the first
    both = np.concatenate([frames[~left], new[0][late]])
    order = np.argsort(both, kind="stable")
    at = np.concatenate([boxes[~left], new[1][late]])[order]
    probe = ProbeFootage.of_boxes(both[order], at, 10.0, gaps_seconds=(1.0,))
    pairs = probe.pairs[0]
    lefts = at[:, 0]
    forbidden = (lefts[pairs.first] < 500) & (at[pairs.first][:, 1] == 0) & (lefts[pairs.second] >= 1000)
    assert not forbidden.any()
    assert (~pairs.same).any()


def test_too_few_pairs_give_no_area() -> None:
    frames, boxes = walkers(5, PEOPLE)
    score = ProbeFootage.of_boxes(frames, boxes, 10.0).score(np.ones((15, 4), np.float32))
    assert np.isnan(score.auc)
    assert score.gaps[0].positives == 12


@pytest.mark.parametrize(("frames", "message"), [([1, 2, 3], "never two in one"), ([1, 1, 5, 5], "could be linked")])
def test_footage_that_cannot_be_probed(frames: list[int], message: str) -> None:
    boxes = np.array([[i * 100.0, 0, i * 100 + 10, 10] for i in range(len(frames))])
    with pytest.raises(InputError, match=message):
        ProbeFootage.of_boxes(np.array(frames), boxes, 10.0)


def test_calibration_and_purity() -> None:
    assert calibrated(np.array([0.1, 0.2, 0.4])).scale == pytest.approx(4.0)
    assert np.isnan(calibrated(np.empty(0)).scale)
    assert purity(np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 9, 0])) == 0.5
