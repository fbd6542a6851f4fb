import numpy as np
import pytest

from ssat.embedding.retrieval import RetrievalScores, retrieval_scores


def on_circle(degrees: list[float]) -> np.ndarray:
    angle = np.deg2rad(np.array(degrees))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_separated_clips_score_one() -> None:
    scores = retrieval_scores(on_circle([0, 1, 90, 91]), np.array([0, 0, 1, 1]), np.array([0, 2, 0, 2]) * 1_000_000)
    assert scores == RetrievalScores(1.0, 1.0, 1.0)


def test_hand_computed_case() -> None:
    # Query 0 (clip 0, 0°): gallery by distance: 10° (clip 1), 25° (clip 0), 40° (clip 1) → a miss, precision 1/2 at
    # its only hit, 1 of 2 negatives above the hit.
    # Query 25° (clip 0): distances 15 (clip 1, at 10°), 15 (clip 1, at 40°), 25 (clip 0) → 1/3 and 2 of 2 above.
    # Query 10° (clip 1): 0° (10 away, clip 0), 25° (15, clip 0), 40° (30, clip 1) → 1/3, 2 of 2 above.
    # Query 40° (clip 1): 25° (15), 10° (30, clip 1), 0° (40) → 1/2, 1 of 2 above.
    scores = retrieval_scores(on_circle([0, 25, 10, 40]), np.array([0, 0, 1, 1]), np.array([0, 5, 0, 5]) * 1_000_000)
    assert scores.recall_at_1 == 0.0
    assert scores.mean_average_precision == pytest.approx((1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4)
    assert scores.verification_auc == pytest.approx((0.5 + 0 + 0 + 0.5) / 4)


def test_neighbours_in_time_do_not_count() -> None:
    # Frames 0 and 1 are 0.1 s apart and identical: without the gap the score would be perfect.
    features, clips = on_circle([0, 0, 80, 10]), np.array([0, 0, 0, 1])
    times = np.array([0, 100_000, 3_000_000, 0])
    assert retrieval_scores(features, clips, times).recall_at_1 < 0.5
    assert retrieval_scores(features, clips, times, gap_us=1).recall_at_1 > 0.6


def test_no_positive_anywhere_is_zero_not_an_error() -> None:
    scores = retrieval_scores(on_circle([0, 90]), np.array([0, 1]), np.array([0, 0]))
    assert scores == RetrievalScores(0.0, 0.0, 0.0)
