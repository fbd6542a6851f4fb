import numpy as np
import pytest

from ssat.tracking.probe import ProbeFootage
from ssat.tracking.probe_auc import auc_gain, mean_auc, measurable
from tests.ssat.tracking.test_probe import footage


def noisy(who: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """One direction for each person, and noise in all."""
    rng = np.random.default_rng(seed)
    return (np.eye(3)[who] + noise * rng.standard_normal((len(who), 3))).astype(np.float32)


def test_the_mean_is_that_of_the_gaps() -> None:
    pairs, who = footage()
    features = noisy(who, 0.7)
    found = mean_auc([pairs], [features])
    assert found.auc == pytest.approx(np.mean([gap.auc for gap in pairs.score(features).gaps]))
    assert found.low <= found.auc <= found.high < 1
    assert found.named()["probe_auc_low"] == found.low
    # The mean over footage counts every gap once.
    ideal = np.eye(3, dtype=np.float32)[who]
    assert mean_auc([pairs, pairs], [features, ideal]).auc == pytest.approx((found.auc + 1) / 2)


def test_gains_are_of_the_same_resamplings() -> None:
    pairs, who = footage()
    better, worse = noisy(who, 0.6), noisy(who, 1.0)
    one, other = mean_auc([pairs], [better]), mean_auc([pairs], [worse])
    gain = auc_gain(one, other)
    assert gain.gain == pytest.approx(one.auc - other.auc)
    assert 0 < gain.low <= gain.gain <= gain.high
    same = auc_gain(one, mean_auc([pairs], [better]))
    assert (same.gain, same.low, same.high) == (0, 0, 0)


def test_gaps_with_too_few_pairs_do_not_count() -> None:
    pairs, who = footage(20)  # two seconds: no pair is three seconds apart
    assert [gap.gap_seconds for gap in measurable(pairs)] == [0.1, 1.0]
    assert mean_auc([pairs], [np.eye(3, dtype=np.float32)[who]]).auc == 1
    nothing = ProbeFootage(pairs.tracklets, pairs.n_tracklets, (), pairs.same_frame, pairs.rows)
    with pytest.raises(ValueError, match="no gap has enough pairs"):
        mean_auc([nothing], [noisy(who, 0.1)])
