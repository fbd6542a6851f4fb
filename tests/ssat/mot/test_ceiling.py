import numpy as np
import pytest

from ssat.mot.ceiling import closed_share, oracle_results, true_identities
from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore, score


def rows(frames: list[int], ids: list[int], left: list[float], flags: list[float] | None = None) -> MotRows:
    boxes = np.array([[x, 0, x + 10, 20] for x in left], np.float64)
    scores = np.ones(len(frames)) if flags is None else np.array(flags)
    return MotRows(np.array(frames), np.array(ids), boxes, scores, np.ones(len(frames), np.int64))


TRUTH = rows([1, 1, 2, 2], [5, 9, 5, 9], [0, 100, 1, 101])
# Per frame: both people, a little beside their labels, and in frame 1 a false detection.
DETECTIONS = rows([1, 1, 1, 2, 2], [-1] * 5, [101, 1, 500, 2, 100])


def test_every_detection_gets_the_identity_of_its_label() -> None:
    assert true_identities(DETECTIONS, TRUTH).tolist() == [9, 5, 0, 5, 9]
    oracle = oracle_results(DETECTIONS, TRUTH)
    assert oracle.ids.tolist() == [9, 5, 10, 5, 9]
    scores = score({"s": ToScore(TRUTH, oracle, range(1, 3))}, "motchallenge")[1]
    # Four right boxes of five, four labels: IDF1 = 2 * 4 / (4 + 5).
    assert (scores.idf1, scores.idsw) == (pytest.approx(8 / 9), 0)


def test_labels_that_do_not_count_give_no_identity() -> None:
    unlabelled = rows([1, 1], [5, 9], [0, 100], [0, 1])
    assert true_identities(DETECTIONS, unlabelled).tolist() == [9, 0, 0, 0, 0]
    assert true_identities(DETECTIONS, TRUTH.select(slice(0, 0))).tolist() == [0] * 5


def test_closed_share() -> None:
    assert closed_share(0.6, 0.5, 0.7) == pytest.approx(0.5)
    assert closed_share(0.4, 0.5, 0.7) == pytest.approx(-0.5)
    assert np.isnan(closed_share(0.5, 0.5, 0.5))
