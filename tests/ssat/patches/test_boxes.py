"""Boxes of followed patches in the frames that a store holds."""

from pathlib import Path

import numpy as np
import pytest

from ssat.patches.boxes import FollowedBoxes, boxes_of_clip
from ssat.patches.clips import greys_of, looked_at
from ssat.patches.follow import follow_patches
from ssat.patches.settings import FollowSettings
from ssat.video.untrusted import VideoError
from tests.ssat.patches.test_follow import clip

__all__ = ["clip"]


@pytest.mark.parametrize(("stride", "grid"), [(1, 3), (4, 4), (5, 5)])
def test_boxes_lie_in_stored_frames_that_all_patches_share(clip: Path, stride: int, grid: int) -> None:
    found = boxes_of_clip(clip, FollowSettings(), seed=3, stride=stride, stored=1000)
    assert len(found.number) > 0
    assert (found.frame_index % grid == 0).all(), "15 frames a second: every third is kept, or the nearest stored one"
    assert (found.frame_index % stride == 0).all()
    counts = np.bincount(found.number)
    assert counts.min() >= 2
    of_first = found.frame_index[found.number == 0]
    assert np.isin(found.frame_index[found.number == len(counts) - 1], np.arange(0, of_first.max() + 100, grid)).all()
    assert 0 < found.moving <= len(counts)


def test_a_box_is_that_of_the_followed_patch_in_its_frame(clip: Path) -> None:
    settings = FollowSettings()
    found = boxes_of_clip(clip, settings, seed=3, stride=1, stored=1000)
    frames, rate, step = looked_at(clip)
    height, width = frames[0].shape[:2]
    patch = follow_patches(greys_of(frames), rate, settings, 3)[0]
    rows = found.number == 0
    expected = patch.boxes[found.frame_index[rows] // step - patch.first] / (width, height, width, height)
    np.testing.assert_allclose(found.boxes[rows], expected)


def test_frames_that_are_not_stored_have_no_boxes(clip: Path, tmp_path: Path) -> None:
    found = boxes_of_clip(clip, FollowSettings(), seed=3, stride=5, stored=3)
    assert len(found.number) > 0
    assert found.frame_index.max() <= 10
    found.save(tmp_path / "boxes.npz")
    again = FollowedBoxes.load(tmp_path / "boxes.npz")
    np.testing.assert_array_equal(again.boxes, found.boxes)
    assert again.moving == found.moving


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError):
        boxes_of_clip(tmp_path / "text.mp4", FollowSettings(), seed=0, stride=1, stored=10)
