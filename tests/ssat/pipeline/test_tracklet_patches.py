from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssat.pipeline.footage import open_footage
from ssat.pipeline.tracklet_patches import TrackletRule, tracklet_patches


def test_a_tracklet_is_a_patch_of_the_first_part(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    make_sequence(tmp_path, n_frames=24, pace=2)
    table = tracklet_patches(open_footage(tmp_path), 0.5)
    assert table.frame.max() == 12
    # Frame 4 misses the first figure: motion joins its two parts. The false alarm of frame 5 is no tracklet.
    assert table.n_patches == 3
    assert np.bincount(table.patch).tolist() == [11, 12, 12]
    assert len(np.unique(table.start)) == 1
    # Cut-outs of one figure are more alike than those of two.
    first, other = table.cuts[table.patch == 0].astype(float), table.cuts[table.patch == 1].astype(float)
    inside = (slice(30, 130), slice(20, 60))
    assert (
        np.abs(first[0][inside] - first[-1][inside]).mean() < 0.6 * np.abs(first[0][inside] - other[0][inside]).mean()
    )


def test_only_long_tracklets_and_few_boxes_of_each(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    make_sequence(tmp_path, n_frames=24, pace=2)
    footage = open_footage(tmp_path)
    few = tracklet_patches(footage, rule=TrackletRule(boxes=3, most=2))
    assert (few.n_patches, len(few)) == (2, 6)
    assert not len(tracklet_patches(footage, rule=TrackletRule(min_boxes=40)))
