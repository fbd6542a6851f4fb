from pathlib import Path

import cv2
import numpy as np

from ssat.report.explained import write_explanation
from ssat.tracking import Tracker
from ssat.tracking.explain import Explainer
from ssat.video.annotated import identity_colour

A, B, C = np.eye(3, 8, dtype=np.float32)
LEFT, RIGHT = [10.0, 10.0, 40.0, 90.0], [150.0, 10.0, 180.0, 90.0]


def test_text_and_picture_are_written(tmp_path: Path) -> None:
    tracker = Tracker(frame_rate=2)
    explainer = Explainer(2, tracker.config)
    tracker.observer = explainer
    frames = [([LEFT], [A]), ([LEFT, RIGHT], [A, B]), ([LEFT], [A]), ([LEFT], [C])]
    for number, (boxes, features) in enumerate(frames, start=1):
        explainer.seen(number, np.full((100, 200, 3), 90, np.uint8))
        tracker.update(boxes, features)
    text, picture = write_explanation(explainer, tmp_path, "walk")
    assert text.name == "walk.explain-2.txt"
    assert text.read_text() == explainer.text()
    drawn = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    # Two decisive frames, one below the other, 422 pixels each.
    assert drawn.shape == (844, 640, 3)
    # The frame at 3.2 times its size, under a line of text; the identity in its colour, the other person in white.
    for panel in (drawn[22:342], drawn[444:764]):
        middle, left, right = 160, 32, 480
        assert panel[middle, right].tolist() == list(identity_colour(2))
        assert panel[middle, left].min() > 200, "white, a pixel wide between pixels"
        assert panel[middle, left + 40].tolist() == panel[middle, right + 40].tolist() == [90, 90, 90]
    assert (drawn[:22] < 128).any(axis=2).sum() > 100, "what happened is written above"


def test_without_frames_there_is_no_picture(tmp_path: Path) -> None:
    tracker = Tracker()
    explainer = Explainer(1, tracker.config)
    tracker.observer = explainer
    explainer.seen(1, None)
    tracker.update([LEFT], [A])
    assert [path.name for path in write_explanation(explainer, tmp_path, "walk")] == ["walk.explain-1.txt"]
