"""Other trackers see what ours sees, and give what ours gives."""

from __future__ import annotations

import builtins
from typing import Any, get_args

import numpy as np
import pytest

from ssat.detection.detections import Detections
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.pipeline import track_frames
from ssat.tracking.baselines import make_tracker
from ssat.tracking.baselines.centertrack import CenterTrackAssociation
from ssat.tracking.config import TrackerConfig, TrackerName

OTHERS = [name for name in get_args(TrackerName) if name not in ("ssat", "box")]


def walkers(n_frames: int = 20) -> tuple[MotRows, np.ndarray]:
    """Two people who walk apart, detections in changing order; features that tell them apart."""
    rows, features = [], []
    for frame in range(1, n_frames + 1):
        people = [(0, 100 + 4 * frame), (1, 300 - 4 * frame / 2 + 200)]
        for person, x in people if frame % 2 else people[::-1]:
            rows.append((frame, x, 50.0))
            features.append(np.eye(8)[person])
    frames, x, y = (np.array(column, float) for column in zip(*rows, strict=True))
    boxes = np.column_stack((x, y, x + 40, y + 100))
    n = len(rows)
    table = MotRows(frames.astype(np.int64), np.full(n, -1), boxes, np.full(n, 0.9), np.ones(n, np.int64))
    return table, np.array(features, np.float32)


@pytest.mark.parametrize("name", OTHERS)
def test_people_keep_their_identities(name: TrackerName) -> None:
    detections, features = walkers()
    given = features if name == "deepsort" else None
    tracked = track_frames(
        [(n, None) for n in range(1, 21)], detections, make_tracker(name, TrackerConfig(), 10.0), features=given
    )
    assert tracked.n_frames == 20
    left = tracked.boxes[:, 0] < 250
    assert len(np.unique(tracked.ids[left])) == len(np.unique(tracked.ids[~left])) == 1
    assert len(np.unique(tracked.ids)) == 2
    assert tracked.ids.min() > 0
    # All of them give detections, in the order of the frames, and most of these.
    given_boxes = {tuple(box) for box in detections.boxes}
    assert {tuple(box) for box in tracked.boxes} <= given_boxes
    assert len(tracked.ids) >= 2 * 17
    assert (np.diff(tracked.frames) >= 0).all()


@pytest.mark.parametrize("name", OTHERS)
def test_frames_without_detections_and_frames_unseen(name: TrackerName) -> None:
    tracker: Any = make_tracker(name, TrackerConfig(lost_seconds=0.5), 10.0)
    nothing = Detections.of_boxes(np.empty((0, 4)), np.empty(0))
    for _ in range(3):
        assert len(tracker.associate(nothing, np.empty((0, 8), np.float32), None)) == 0
    box, face = np.array([[10.0, 10, 50, 110]]), np.eye(8, dtype=np.float32)[:1]
    seen = [tracker.associate(Detections.of_boxes(box, np.ones(1)), face, None) for _ in range(6)]
    assert len(seen[-1]) == 1
    tracker.skip(30)
    for _ in range(4):
        again = tracker.associate(Detections.of_boxes(box, np.ones(1)), face, None)
    # After three seconds nobody is the same.
    assert again.ids[0] != seen[-1].ids[0]


@pytest.mark.parametrize("name", ["sort", "bytetrack", "oc-sort"])
def test_scores_on_another_scale_count_as_certain(name: TrackerName) -> None:
    tracker: Any = make_tracker(name, TrackerConfig(), 10.0)
    for _ in range(6):
        tracks = tracker.associate(Detections.of_boxes(np.array([[10.0, 10, 50, 110]]), np.array([-0.4])), None, None)
    assert len(tracks) == 1
    assert tracks.scores is not None
    assert tracks.scores[0] == -0.4


def test_centertrack_goes_back_by_the_offset_best_score_first() -> None:
    tracker = CenterTrackAssociation()
    boxes = np.array([[0.0, 0, 20, 20], [30, 0, 50, 20]])
    first = tracker.associate(Detections.of_boxes(boxes, np.array([0.5, 0.9])), None, None)
    assert first.ids.tolist() == [1, 2]
    # Both moved 30 to the right: without offsets the left one would take the right one's place.
    moved = Detections(
        boxes + np.array([30, 0, 30, 0]),
        np.array([0.5, 0.9]),
        np.array([[40.0, 10], [70, 10]]),
        np.full((2, 2), [-30.0, 0]),
    )
    assert tracker.associate(moved, None, None).ids.tolist() == [1, 2]
    # Two that want the same track: the better score gets it, the other is new.
    rivals = Detections.of_boxes(np.array([[31.0, 0, 51, 20], [30, 0, 50, 20]]), np.array([0.9, 0.5]))
    assert tracker.associate(rivals, None, None).ids.tolist() == [1, 3]
    # A frame without it, and it is somebody else.
    tracker.associate(Detections.of_boxes(np.empty((0, 4)), np.empty(0)), None, None)
    assert tracker.associate(rivals, None, None).ids.tolist() == [4, 5]
    # Births may be held back.
    far = Detections.of_boxes(np.array([[500.0, 0, 520, 20]]), np.ones(1))
    assert len(tracker.associate(far, None, lambda rows: np.zeros(len(rows), bool))) == 0


def test_a_package_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in ("trackers", "deep_sort_realtime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in ("sort", "deepsort"):
        with pytest.raises(InputError, match=r"pip install 'ssat\[baselines\]'"):
            make_tracker(name, TrackerConfig(), 10.0)  # type: ignore[arg-type]
