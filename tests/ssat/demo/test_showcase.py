from pathlib import Path

import av
import cv2
import numpy as np

from ssat.demo.sequences import write_sequence
from ssat.demo.showcase import write_showcase
from ssat.mot.rows import write_results
from ssat.mot.sequence import MotSequence


def test_both_trackers_are_painted_side_by_side(tmp_path: Path) -> None:
    sequence = MotSequence.open(write_sequence(tmp_path, "DEMO-01", seed=0, sequence=0, frames=6, figures=3))
    truth = sequence.ground_truth()
    right = write_results(tmp_path / "right.txt", truth.frames, truth.ids, truth.boxes, truth.scores)
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("")
    video, stills = tmp_path / "demo.mp4", tmp_path / "stills.png"
    write_showcase([sequence], {"DEMO-01": {"none": nothing, "truth": right}}, video, stills, count=2)
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6
    height, width = frames[0].shape[:2]
    assert (height, width) == (360 + 24, 2 * 640)
    picture = cv2.imread(str(stills))
    assert picture.shape == (2 * height, width, 3)
    # The empty result leaves the frame as it is; the other one paints boxes.
    source = cv2.imread(str(sequence.image_path(2)))
    left, painted = picture[24:height, :640], picture[24:height, 640:]
    np.testing.assert_array_equal(left, source)
    assert (painted != source).any(axis=2).sum() > 1000
