from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssat.mot.sequence import MotSequence
from ssat.pipeline.feature_cache import feature_key, images_digest, load_features, rows_digest, store_features
from ssat.pipeline.stage_seconds import StageSeconds


def test_features_come_back_with_what_they_cost(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    path = store_features(tmp_path, "ab" * 32, features, StageSeconds(read=1.5, embed=2.5))
    cached = load_features(tmp_path, "ab" * 32, 5)
    assert cached is not None
    np.testing.assert_array_equal(cached.features, features)
    assert cached.seconds == StageSeconds(read=1.5, embed=2.5)
    assert load_features(tmp_path, "ab" * 32, 4) is None, "another number of detections"
    assert load_features(tmp_path, "cd" * 32, 5) is None
    path.write_bytes(path.read_bytes()[:-20])
    assert load_features(tmp_path, "ab" * 32, 5) is None, "a damaged file is computed again"
    path.write_bytes(b"\x80\x04pickle")
    assert load_features(tmp_path, "ab" * 32, 5) is None


def test_the_key_follows_content_alone(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    one = MotSequence.open(make_sequence(tmp_path, n_frames=3))
    same = MotSequence.open(make_sequence(tmp_path / "elsewhere", n_frames=3))
    paths = [one.image_path(frame) for frame in (1, 2, 3)]
    images, detections = images_digest(paths), one.detections()
    assert images == images_digest([same.image_path(frame) for frame in (1, 2, 3)])
    key = feature_key("e", 112, images, detections)
    assert key == feature_key("e", 112, images, same.detections())
    moved = one.detections()
    moved.boxes[0, 0] += 1
    assert rows_digest(moved) != rows_digest(detections)
    others = [
        feature_key("f", 112, images, detections),
        feature_key("e", 224, images, detections),
        feature_key("e", 112, images, moved),
        feature_key("e", 112, images_digest(paths[::-1]), detections),
    ]
    assert len({key, *others}) == 5
