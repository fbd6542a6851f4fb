from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ssat.detection.cache import load_chunk, store_chunk
from ssat.detection.detections import Detections


def _some(n: int, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(rng.random((n, 4)), rng.random(n), rng.random((n, 2)), rng.random((n, 2)))


def test_what_was_kept_comes_back_exactly_with_empty_frames(tmp_path: Path) -> None:
    frames = [_some(3), _some(0), _some(2, 1)]
    path = store_chunk(tmp_path, "ab12", frames)
    assert pq.read_table(path).num_rows == 5
    again = load_chunk(tmp_path, "ab12", 3)
    assert again is not None
    for one, other in zip(frames, again, strict=True):
        for field in ("boxes", "scores", "centres", "offsets"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    store_chunk(tmp_path, "cd34", [_some(0)])
    assert [len(one) for one in load_chunk(tmp_path, "cd34", 1) or []] == [0]


def test_a_damaged_or_foreign_file_is_as_none(tmp_path: Path) -> None:
    assert load_chunk(tmp_path, "ab12", 3) is None
    path = store_chunk(tmp_path, "ab12", [_some(3)])
    assert load_chunk(tmp_path, "ab12", 2) is None
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert load_chunk(tmp_path, "ab12", 1) is None
    path.write_bytes(whole)
    path.rename(tmp_path / "ab" / "ab99.parquet")
    assert load_chunk(tmp_path, "ab99", 1) is None
