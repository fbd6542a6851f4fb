import numpy as np

from ssat.tracking.interpolate import interpolated


def test_gaps_are_filled_along_a_line_up_to_the_longest() -> None:
    frames = np.array([1, 4, 9, 2, 3])
    ids = np.array([7, 7, 7, 5, 5])
    boxes = np.array([[0, 0, 10, 10], [30, 0, 40, 16], [0, 0, 1, 1], [1, 1, 2, 2], [1, 1, 2, 2]], float)
    scores = np.array([0.9, 0.6, 0.5, 0.4, 0.3])
    filled_frames, filled_ids, filled_boxes, filled_scores = interpolated(frames, ids, boxes, scores, longest=2)
    assert list(zip(filled_frames.tolist(), filled_ids.tolist(), strict=True)) == [
        (1, 7), (2, 5), (2, 7), (3, 5), (3, 7), (4, 7), (9, 7),
    ]  # fmt: skip
    np.testing.assert_allclose(filled_boxes[[2, 4]], [[10, 0, 20, 12], [20, 0, 30, 14]])
    np.testing.assert_allclose(filled_scores, [0.9, 0.4, 0.6, 0.3, 0.6, 0.6, 0.5])
    assert len(interpolated(frames, ids, boxes, scores, longest=4)[0]) == 5 + 2 + 4
    assert len(interpolated(frames, ids, boxes, scores, longest=0)[0]) == 5
    empty = interpolated(frames[:0], ids[:0], boxes[:0], scores[:0], longest=3)
    assert [len(part) for part in empty] == [0, 0, 0, 0]
