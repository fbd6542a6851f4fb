import numpy as np

from ssat.tracking.interpolate import GapFiller, interpolated


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


def test_frame_after_frame_it_gives_the_same_and_remembers_no_more_than_the_longest_gap() -> None:
    rng = np.random.default_rng(0)
    frames = np.repeat(np.arange(1, 401), 3)
    ids = np.tile([1, 2, 3], 400)
    kept = rng.random(1200) < 0.4
    frames, ids = frames[kept], ids[kept]
    boxes, scores = rng.random((len(ids), 4)), rng.random(len(ids))
    whole = interpolated(frames, ids, boxes, scores, longest=4)
    assert len(whole[0]) > len(frames)
    filler, given, most = GapFiller(4), [], 0
    for number in range(1, 401):
        at = frames == number
        given += list(filler.add(number, ids[at], boxes[at], scores[at]))
        most = max(most, len(filler._waiting))
        assert all(done <= number - 4 for done, _ in given)
    given += list(filler.finish())
    assert [number for number, _ in given] == list(range(1, 401))
    assert most <= 5
    for column in range(3):
        np.testing.assert_array_equal(np.concatenate([row[column] for _, row in given]), whole[column + 1])
