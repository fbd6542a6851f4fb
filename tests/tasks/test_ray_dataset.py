"""The frame store through Ray Data, on a real local Ray."""

from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder
from ssat.frames.store import FrameStore
from tasks.ray_dataset import read_dataset
from tests.ssat.frames.conftest import small_clips, small_store

__all__ = ["small_clips", "small_store"]
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_cluster")]


def test_rows_are_those_of_the_store_with_crops_for_jpegs(small_store: FrameStore) -> None:
    chosen = [7, 2, 5]
    rows = read_dataset(small_store, class_ids=chosen, crop=32, short_side=64).take_all()
    assert sorted(rows[0]) == ["class_id", "clip_id", "crop", "frame_index", "height", "label", "pts_us", "width"]
    found = {(row["class_id"], row["frame_index"]): row for row in rows}
    assert len(found) == len(rows) == 30 + 45 + 30
    decoder = FrameDecoder()
    for rank in chosen:
        for index, jpeg in small_store.read_frames(rank)[::10]:
            row = found[rank, index]
            assert (row["label"], row["clip_id"]) == (chosen.index(rank), f"clip{rank}")
            frame = decoder.decode(jpeg, 64)
            assert row["crop"].shape == (32, 32, 3)
            assert (row["height"], row["width"]) == frame.shape[:2]
            # The crop is a window of its frame.
            windows = np.lib.stride_tricks.sliding_window_view(frame, (32, 32, 3)).reshape(-1, 32, 32, 3)
            assert (windows == row["crop"]).all(axis=(1, 2, 3)).any()


def test_bad_requests_are_refused(small_store: FrameStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit"):
        read_dataset(small_store, class_ids=[0], crop=65, short_side=64)
    with pytest.raises(InputError, match="no clip of class id 11"):
        read_dataset(small_store, class_ids=[11], crop=32, short_side=64)
