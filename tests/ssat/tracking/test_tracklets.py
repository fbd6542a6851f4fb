import numpy as np
import pytest

from ssat.errors import InputError
from ssat.tracking.tracklets import LinkRule, link_tracklets, unrivalled_links


def walkers(n_frames: int, starts: list[tuple[float, float]], speed: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Frames (n,) and boxes (n, 4) of people 20 x 50 pixels who walk to the right, frame after frame."""
    frames = np.repeat(np.arange(1, n_frames + 1), len(starts))
    left = np.array([x + speed * step for step in range(n_frames) for x, _ in starts])
    top = np.array([y for _ in range(n_frames) for _, y in starts])
    return frames, np.stack([left, top, left + 20, top + 50], axis=1)


def test_links_are_mutual_and_unrivalled() -> None:
    first = np.array([[0.0, 0, 10, 10], [100, 0, 110, 10], [200, 0, 210, 10]])
    # The second box has two candidates that overlap it: which one is the same person is not certain.
    second = np.array([[1.0, 0, 11, 10], [100, 0, 110, 10], [104, 0, 114, 10], [207, 0, 217, 10]])
    rows, columns = unrivalled_links(first, second)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_a_walk_is_one_tracklet() -> None:
    frames, boxes = walkers(6, [(0, 0), (0, 200)])
    assert link_tracklets(frames, boxes, 25.0).tolist() == [0, 1] * 6


def test_a_missed_box_is_rejoined_at_constant_velocity() -> None:
    frames, boxes = walkers(20, [(0, 0)], speed=4.0)
    seen = ~np.isin(frames, (10, 11, 12, 13, 14, 15))
    # Six frames at 4 pixels: the box has moved by more than its width, and only its motion tells who it is.
    assert len(set(link_tracklets(frames[seen], boxes[seen], 25.0, LinkRule(rejoin_seconds=0.0)).tolist())) == 2
    assert len(set(link_tracklets(frames[seen], boxes[seen], 25.0, LinkRule(rejoin_seconds=0.5)).tolist())) == 1
    assert len(set(link_tracklets(frames[seen], boxes[seen], 25.0, LinkRule(rejoin_seconds=0.2)).tolist())) == 2


def test_two_who_could_continue_are_not_rejoined() -> None:
    frames, boxes = walkers(20, [(0, 0)], speed=0.0)
    frames, boxes = frames[(frames < 8) | (frames > 12)], boxes[(frames < 8) | (frames > 12)]
    late = frames > 12
    twin = boxes[late] + (6, 0, 6, 0)
    both = np.concatenate([frames, frames[late]])
    order = np.argsort(both, kind="stable")
    tracklets = link_tracklets(both[order], np.concatenate([boxes, twin])[order], 25.0)
    assert tracklets[0] not in tracklets[both[order] > 12]


def test_no_detections_and_unsorted_frames() -> None:
    assert len(link_tracklets(np.empty(0, np.int64), np.empty((0, 4)), 25.0)) == 0
    with pytest.raises(InputError, match="sorted by frame"):
        link_tracklets(np.array([2, 1]), np.zeros((2, 4)), 25.0)
    with pytest.raises(InputError, match="frame rate"):
        link_tracklets(np.array([1]), np.zeros((1, 4)), 0.0)
