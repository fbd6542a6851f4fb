import numpy as np
import pytest

from ssat.mot.ceiling import Ceiling
from ssat.mot.rows import MotRows
from ssat.mot.scores import Scoring, ToScore
from ssat.pipeline.ceiling import CeilingInput, Ceilings


def rows(frames: list[int], ids: list[int], left: list[float], flags: list[float] | None = None) -> MotRows:
    boxes = np.array([[x, 0, x + 10, 20] for x in left], np.float64)
    scores = np.ones(len(frames)) if flags is None else np.array(flags)
    return MotRows(np.array(frames), np.array(ids), boxes, scores, np.ones(len(frames), np.int64))


def crossing() -> CeilingInput:
    """Two people who change places between frames 2 and 3: boxes alone give each the other's identity."""
    truth = rows([1, 1, 2, 2, 3, 3, 4, 4], [1, 2] * 4, [0, 60, 0, 60, 60, 0, 60, 0])
    frames = [1, 1, 2, 2, 3, 3, 4, 4]
    return CeilingInput(rows(frames, [-1] * 8, [0, 60, 0, 60, 0, 60, 0, 60]), truth, range(1, 5), "mot", 10.0)


@pytest.mark.parametrize("protocol", ["motchallenge", "centertrack-half"])
def test_the_gap_between_boxes_and_the_right_identities(protocol) -> None:
    ceilings = Ceilings({"s": crossing()}, protocol)
    ceiling = ceilings.over("s")
    assert (ceiling.idf1, ceiling.mota, ceiling.hota) == (1.0, 1.0, 1.0)
    assert ceiling.box_idf1 == 0.5  # each track is right in two frames of four
    assert ceiling.closed(0.75) == pytest.approx(0.5)
    assert ceiling.to_dict(0.25)["closed_share"] == pytest.approx(-0.5)
    # Together with a sequence that boxes alone solve.
    still = rows([1, 2], [7, 7], [0, 1])
    both = Ceilings({"s": crossing(), "t": CeilingInput(still, still, range(1, 3), "mot", 10.0)}, protocol)
    assert both.over("t").closed(1.0) is None
    assert both.over("s", "t").box_idf1 == pytest.approx(6 / 10)
    assert both.over() == both.over("s", "t")


def test_a_share_is_not_known_without_a_gap() -> None:
    assert Ceiling(1, 0.5, 1, 0.5).to_dict(0.5)["closed_share"] is None


def test_the_boxes_of_a_protocol_by_the_official_definitions() -> None:
    # A label of class 1 with flag 0 counts in neither protocol, a car (class 3) with flag 1 in centertrack-half.
    one = crossing()
    truth = rows([1, 2], [1, 1], [0, 0])
    car = MotRows(truth.frames, truth.ids, truth.boxes, truth.scores, np.array([3, 3]))
    results = rows([1, 2], [1, 1], [0, 0])
    named = {"s": ToScore(car, results, range(1, 3), "mot")}
    fast = Scoring(named, "centertrack-half", official=True).over()
    slow = Scoring(named, "centertrack-half").over()
    assert (fast.idf1, fast.mota, fast.gt_dets) == (slow.idf1, slow.mota, slow.gt_dets) == (1.0, 1.0, 2)
    ceiling = Ceilings({"s": CeilingInput(results, car, range(1, 3), one.rules, 10.0)}, "centertrack-half")
    assert ceiling.over("s").idf1 == 1.0
