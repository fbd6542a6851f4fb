import pytest

from ssat.studies.promotion import decide_promotion
from ssat.tracking.probe_auc import AucGain


@pytest.mark.parametrize(
    ("candidate", "champion", "candidate_seeds", "champion_seeds", "spread", "promoted", "words"),
    [
        (0.50, None, (), (), None, True, "no champion yet"),
        (0.62, 0.60, (0.615, 0.62, 0.61), (), None, True, "more than the spread of 1.00 (3 seeds of the candidate"),
        # Two seeds of the champion's recipe lie as far apart as the gain is large.
        (0.62, 0.60, (0.615, 0.62), (0.58, 0.60), None, False, "not more than the spread of 2.00 (2 seeds of the ch"),
        (0.60, 0.60, (0.60, 0.60), (), None, False, "not better"),
        (0.55, 0.60, (), (), None, False, "not better"),
        (0.62, 0.60, (0.62,), (0.60,), None, False, "train and score another seed"),
        (0.62, 0.60, (), (), 0.01, True, "as stated"),
        (0.62, 0.60, (0.62, 0.2), (), 0.01, True, "as stated"),
        (0.62, 0.60, (), (), 0.05, False, "not more than"),
    ],
)
def test_a_gain_counts_beyond_the_spread_of_seeds(
    candidate, champion, candidate_seeds, champion_seeds, spread, promoted, words
):
    decision = decide_promotion(candidate, champion, candidate_seeds, champion_seeds, spread=spread)
    assert decision.promoted is promoted
    assert words in decision.reason
    if champion is not None:
        assert decision.gain == pytest.approx(candidate - champion)


def test_the_reason_names_the_metric_and_a_spread_is_no_debt():
    assert "MOTA 50.00" in decide_promotion(0.5, 0.4, spread=0.0, metric="mota").reason
    with pytest.raises(ValueError, match="below 0"):
        decide_promotion(0.5, 0.4, spread=-0.1)


@pytest.mark.parametrize(
    ("low", "score", "promoted", "words"),
    [
        (0.01, 0.6, True, "probe AUC +2.00 (95 % interval +1.00 to +3.00): higher beyond its interval"),
        (-0.001, 0.6, False, "(95 % interval -0.10 to +3.00): not higher"),
        (0.01, 0.4, False, "not better; probe AUC"),
    ],
)
def test_with_a_probe_its_auc_must_be_higher_as_well(low: float, score: float, promoted: bool, words: str) -> None:
    decision = decide_promotion(score, 0.5, spread=0.01, probe=AucGain(0.02, low, 0.03))
    assert decision.promoted is promoted
    assert words in decision.reason


def test_the_first_champion_needs_no_probe() -> None:
    assert decide_promotion(0.5, None, probe=AucGain(-0.1, -0.2, 0.0)).promoted
