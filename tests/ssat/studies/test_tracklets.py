from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.studies.settings import TrackletSettings
from ssat.studies.tracklets import Tracklets, _chosen, collect_tracklets, train_on_tracklets, unlabelled_sequences

pytestmark = pytest.mark.slow


def test_tracks_of_sort_become_classes_without_a_look_at_labels(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("WALK-01", "WALK-02"):
        (make_sequence(tmp_path, name) / "gt" / "gt.txt").unlink()
    settings = TrackletSettings(crop=32, min_frames=4, max_frames=6)
    found = collect_tracklets(unlabelled_sequences([str(tmp_path)]), settings)
    assert found.per_sequence == {"WALK-01": 3, "WALK-02": 3}
    assert (found.classes, found.patches.shape[1:]) == (6, (32, 32, 3))
    assert set(np.bincount(found.labels)) <= set(range(4, 7))
    # Patches of one class show one figure: they differ less among themselves than from those of another.
    first, other = (found.patches[found.labels == label].astype(float) for label in (0, 1))
    assert np.abs(first[0] - first[1]).mean() < np.abs(first[0] - other[0]).mean()


def test_long_tracks_are_thinned_evenly_and_short_ones_left_out() -> None:
    frames = np.array([*range(1, 22), *range(1, 4)])
    order = np.argsort(frames, kind="stable")
    ids = np.array([1] * 21 + [2] * 3)[order]
    rows = MotRows(frames[order], ids, np.zeros((24, 4)), np.ones(24), np.ones(24, int))
    kept = _chosen(rows, TrackletSettings(min_frames=4, max_frames=5))
    assert (kept.frames.tolist(), set(kept.ids.tolist())) == ([1, 6, 11, 16, 21], {1})


def test_the_network_learns_its_classes_and_the_seed_fixes_it() -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    noise = rng.integers(0, 20, (36, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(36) % 3
    tracklets = Tracklets(faces[labels] // 2 + noise, labels, {"a": 3})
    settings = TrackletSettings(crop=32, epochs=4, batch_size=12, learning_rate=0.02)
    rows: list[dict[str, float]] = []
    before = tracklets.patches.copy()
    embedder = train_on_tracklets(tracklets, settings, rows.append)
    assert (tracklets.patches == before).all(), "mirroring must not change the patches for the next epoch"
    assert rows[-1]["loss"] < rows[0]["loss"] / 2
    assert embedder.facts["tracklets"] == {"a": 3}
    assert train_on_tracklets(tracklets, settings).digest == embedder.digest


def test_what_cannot_be_learned_from_is_named(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    labels_only = make_sequence(tmp_path, "WALK-01", images=False)
    with pytest.raises(InputError, match=r"WALK-01: labels only"):
        unlabelled_sequences([str(labels_only)])
    sequence = unlabelled_sequences([str(make_sequence(tmp_path, "WALK-02"))])
    with pytest.raises(InputError, match=r"fewer than two tracks of 13 frames"):
        collect_tracklets(sequence, TrackletSettings(min_frames=13, max_frames=20))
