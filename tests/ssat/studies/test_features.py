import numpy as np
import pytest

from ssat.mot.rows import MotRows
from ssat.studies.features import StudiedSequence, feature_auc, gain_over, rank_correlation
from ssat.studies.settings import FeaturesStudySettings
from tests.ssat.tracking.test_tracklets import walkers

SETTINGS = FeaturesStudySettings()


def sequence(n_frames: int, name: str = "s") -> tuple[StudiedSequence, np.ndarray]:
    """Three people who walk side by side at 10 fps, and who is who."""
    frames, boxes = walkers(n_frames, [(0.0, 0.0), (0.0, 100.0), (0.0, 200.0)])
    who = np.tile(np.arange(3), n_frames)
    ones = np.ones(len(frames))
    detections = MotRows(frames, np.full(len(frames), -1), boxes, ones, ones.astype(np.int64))
    truth = MotRows(frames, who + 1, boxes, ones, ones.astype(np.int64))
    return StudiedSequence.of(name, detections, truth, 10.0, SETTINGS), who


def test_a_perfect_feature_and_noise_by_labels_and_without() -> None:
    one, who = sequence(60)
    ideal = feature_auc([one], {"s": np.eye(3, dtype=np.float32)[who]})
    noise = feature_auc([one], {"s": np.random.default_rng(0).standard_normal((len(who), 8)).astype(np.float32)})
    assert ideal.by_sequence == {"s": (1.0, 1.0)}
    assert (ideal.to_dict()["auc"], ideal.to_dict()["probe_auc_low"]) == (1.0, 1.0)
    for auc in noise.by_sequence["s"]:
        assert auc == pytest.approx(0.5, abs=0.06)
    gain = gain_over(noise.labelled, ideal.labelled)
    assert gain is not None
    assert gain.gain == pytest.approx(-0.5, abs=0.06)
    assert gain.low <= gain.gain <= gain.high < 0
    assert gain_over(None, ideal.labelled) is None


def test_a_sequence_with_too_few_pairs_is_named_and_left_out() -> None:
    long, who = sequence(60)
    short, few = sequence(5, "short")
    assert short.notes == (
        "short: no AUC without labels: too few pairs 1, 2, 3 s apart",
        "short: no AUC by labels: too few pairs 1 s apart",
    )
    features = {"s": np.eye(3, dtype=np.float32)[who], "short": np.zeros((len(few), 3), np.float32)}
    auc = feature_auc([long, short], features)
    assert auc.by_sequence["short"] == (None, None)
    assert auc.to_dict()["auc"] == 1.0
    alone = feature_auc([short], features)
    assert set(alone.to_dict().values()) == {None}


def test_detections_that_match_no_label() -> None:
    one, _ = sequence(60)
    assert one.labelled is not None
    frames, boxes = walkers(60, [(0.0, 0.0), (0.0, 100.0)])
    ones = np.ones(len(frames))
    detections = MotRows(frames, np.full(len(frames), -1), boxes, ones, ones.astype(np.int64))
    nothing = detections.select(slice(0, 0))
    found = StudiedSequence.of("s", detections, nothing, 10.0, SETTINGS)
    assert found.labelled is None
    assert found.free is not None
    assert found.notes == ("s: no AUC by labels: no two detections of one frame match labels of two people",)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3, 4, None], [0.1, 0.2, 0.7, 0.8, 0.0]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    # Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15).
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 2, 3, 4], [5, 5, 5, 5]) is None
