import pytest

from ssat.studies.promotion import decide_promotion


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
