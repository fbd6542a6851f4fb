import numpy as np

from ssat.mot.protocols import box_iou, scored_frames
from ssat.mot.rows import MotRows


def _rows(*rows: tuple[int, int, float, int], has_classes: bool = True) -> MotRows:
    """(id, left edge, flag or score, class) of boxes 10 x 10 in frame 1."""
    ids, lefts, flags, classes = (np.array(column) for column in zip(*rows, strict=True))
    boxes = np.stack([lefts, np.zeros(len(lefts)), lefts + 10, np.full(len(lefts), 10.0)], axis=1).astype(float)
    return MotRows(np.ones(len(ids), np.int64), ids, boxes, flags.astype(float), classes, has_classes)


def test_iou_by_hand() -> None:
    first = np.array([[0.0, 0.0, 10.0, 10.0]])
    second = np.array([[5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0], [3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_allclose(box_iou(first, second), [[1 / 3, 1.0, 0.0, 0.0]])
    assert box_iou(np.empty((0, 4)), second).shape == (0, 4)


def test_centertrack_half_counts_every_class_and_removes_nothing() -> None:
    truth = _rows((1, 0, 1, 1), (2, 100, 1, 8), (3, 200, 0, 1))
    results = _rows((11, 0, 1, 1), (12, 100, 1, 1), (13, 200, 1, 1))
    (frame,) = scored_frames(truth, results, range(1, 2), "centertrack-half")
    assert frame.truth_ids.tolist() == [1, 2]
    assert frame.result_ids.tolist() == [11, 12, 13]
    np.testing.assert_allclose(frame.iou, [[1, 0, 0], [0, 1, 0]])


def test_motchallenge_removes_results_on_distractors_and_counts_pedestrians() -> None:
    # 2 is a distractor, 3 a bicycle (6: a distractor on MOT20 alone), 4 not to be scored: its result stays.
    truth = _rows((1, 0, 1, 1), (2, 100, 1, 8), (3, 200, 0, 6), (4, 300, 0, 1))
    results = _rows((11, 0, 1, 1), (12, 100, 1, 1), (13, 200, 1, 1), (14, 300, 1, 1))
    (frame,) = scored_frames(truth, results, range(1, 2), "motchallenge")
    assert frame.truth_ids.tolist() == [1]
    assert frame.result_ids.tolist() == [11, 13, 14]
    (frame,) = scored_frames(truth, results, range(1, 2), "motchallenge", rules="mot20")
    assert frame.result_ids.tolist() == [11, 14]


def test_a_result_that_a_pedestrian_claims_better_is_not_removed() -> None:
    # Person and reflection overlap: the person takes the result that fits it, none is left for the reflection.
    truth = _rows((1, 0, 1, 1), (2, 3, 1, 12))
    (frame,) = scored_frames(truth, _rows((11, 0, 1, 1)), range(1, 2), "motchallenge")
    assert frame.result_ids.tolist() == [11]
    # An overlap below one half is no match, so nothing is removed.
    (frame,) = scored_frames(_rows((2, 0, 1, 12)), _rows((11, 4, 1, 1)), range(1, 2), "motchallenge")
    assert frame.result_ids.tolist() == [11]


def test_labels_without_classes_have_no_distractors() -> None:
    truth = _rows((1, 0, 1, 1), (2, 100, 0, 1), has_classes=False)
    (frame,) = scored_frames(truth, _rows((11, 100, 1, 1)), range(1, 2), "motchallenge")
    assert frame.truth_ids.tolist() == [1]
    assert frame.result_ids.tolist() == [11]
