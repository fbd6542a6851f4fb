"""Detections of supervision, ultralytics and torchvision through the tracker and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision
import torch

from ssat.errors import InputError
from ssat.tracking import Tracker, TrackerConfig

_BOXES = np.array([[10.0, 10, 30, 60], [100, 20, 130, 90], [200, 30, 225, 95]])
_SCORES = np.array([0.9, 0.5, 0.7])


class Boxes:
    """The part of `ultralytics.engine.results.Boxes` that is read: one row is x1 y1 x2 y2 [id] score class."""

    def __init__(self, data: Any) -> None:
        self.data = data

    xyxy = property(lambda self: self.data[:, :4])
    conf = property(lambda self: self.data[:, -2])
    cls = property(lambda self: self.data[:, -1])
    id = property(lambda self: self.data[:, 4] if self.data.shape[1] == 7 else None)


class Results:
    """The part of `ultralytics.engine.results.Results` that is used; the real class is tested where it is installed."""

    orig_shape = (240, 320)

    def __init__(self, boxes: Any) -> None:
        self.boxes = None if boxes is None else Boxes(boxes)

    def __getitem__(self, rows: Any) -> Results:
        assert self.boxes is not None
        return Results(self.boxes.data[rows])

    def update(self, boxes: Any) -> None:
        self.boxes = Boxes(boxes)


def _results(*, real: bool, tensor: bool) -> Any:
    data = torch.tensor(np.column_stack((_BOXES, _SCORES, [0, 0, 2])), dtype=torch.float32)
    boxes = data if tensor else data.numpy()
    if not real:
        return Results(boxes)
    results = pytest.importorskip("ultralytics.engine.results", reason="ultralytics is not installed")
    image = np.zeros((240, 320, 3), np.uint8)
    return results.Results(image, path="", names={0: "person", 2: "car"}, boxes=boxes)


def _supervision(rows: Any = slice(None)) -> supervision.Detections:
    return supervision.Detections(_BOXES, confidence=_SCORES, class_id=np.array([0, 0, 2]), data={"n": np.arange(3)})[
        rows
    ]


def test_supervision_in_and_out() -> None:
    tracker = Tracker()
    given = _supervision()
    first = tracker.update(given).labelled()
    assert isinstance(first, supervision.Detections)
    assert first.tracker_id.tolist() == [1, 2, 3]
    assert given.tracker_id is None, "the caller's detections stay as they are"
    tracks = tracker.update(_supervision([2, 0]))
    labelled = tracks.labelled()
    assert labelled.tracker_id.tolist() == [3, 1]
    assert labelled.class_id.tolist() == [2, 0]
    assert labelled.data["n"].tolist() == [2, 0]
    assert tracks.scores is not None
    assert tracks.scores.tolist() == [0.7, 0.9]
    empty = tracker.update(supervision.Detections.empty()).labelled()
    assert len(empty) == 0


def test_only_the_rows_that_are_tracked_come_back() -> None:
    tracker = Tracker(TrackerConfig(low_score=0.6))
    labelled = tracker.update(_supervision()).labelled()
    assert labelled.confidence.tolist() == [0.9, 0.7]
    assert labelled.tracker_id.tolist() == [1, 2]


@pytest.mark.parametrize("real", [False, True], ids=["the parts", "installed"])
@pytest.mark.parametrize("tensor", [True, False], ids=["torch", "numpy"])
def test_ultralytics_in_and_out(real: bool, tensor: bool) -> None:
    tracker = Tracker()
    tracker.update(_results(real=real, tensor=tensor))
    given = _results(real=real, tensor=tensor)[[2, 1]]
    labelled = tracker.update(given).labelled()
    assert type(labelled) is type(given)
    assert np.asarray(labelled.boxes.id).tolist() == [3, 2]
    assert np.asarray(labelled.boxes.xyxy).tolist() == _BOXES[[2, 1]].tolist()
    assert np.asarray(labelled.boxes.conf).tolist() == pytest.approx([0.7, 0.5])
    assert np.asarray(labelled.boxes.cls).tolist() == [2, 0]
    assert given.boxes.id is None
    again = tracker.update(labelled).labelled()  # identities of before do not disturb
    assert np.asarray(again.boxes.id).tolist() == [3, 2]
    assert len(tracker.update(_results(real=real, tensor=tensor)[[]]).labelled().boxes.data) == 0


def test_torchvision_in_and_out() -> None:
    tracker = Tracker()
    given = {"boxes": torch.tensor(_BOXES), "labels": torch.tensor([1, 1, 3]), "scores": torch.tensor(_SCORES)}
    tracker.update(given)
    labelled = tracker.update({key: value[[1, 2]] for key, value in given.items()}).labelled()
    assert labelled["ids"].tolist() == [2, 3]
    assert labelled["labels"].tolist() == [1, 3]
    assert labelled["boxes"].tolist() == _BOXES[[1, 2]].tolist()
    assert "ids" not in given


def test_the_tracks_are_those_of_the_arrays() -> None:
    ours, theirs = Tracker(), Tracker()
    features = np.eye(3)
    for step in range(3):
        given = _supervision()
        given.xyxy += step
        expected = ours.update(_BOXES + step, features, _SCORES)
        tracks = theirs.update(given, features)
        assert tracks.ids.tolist() == expected.ids.tolist()
        assert tracks.boxes.tolist() == expected.boxes.tolist()
    assert theirs.update(_supervision(), features, [0.1, 0.2, 0.3]).scores.tolist() == [0.1, 0.2, 0.3]


def test_arrays_have_no_type_to_come_back_in() -> None:
    with pytest.raises(InputError, match="given as arrays"):
        Tracker().update(_BOXES).labelled()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([_supervision()], r"results\[0\]"),
        ([Results(np.zeros((1, 6)))], r"results\[0\]"),
        ([{"boxes": _BOXES}], r"results\[0\]"),
        ({"box": _BOXES, "scores": _SCORES}, "expected the key boxes"),
        (Results(None), "have no boxes"),
    ],
)
def test_what_is_not_of_one_image_is_refused(given: Any, said: str) -> None:
    tracker = Tracker()
    with pytest.raises(InputError, match=said):
        tracker.update(given)
    assert tracker.next_id == 1
