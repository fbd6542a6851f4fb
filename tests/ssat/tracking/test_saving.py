from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.tracking import Tracker, TrackerConfig, load_tracker, save_tracker


@pytest.mark.parametrize(
    "config", [{}, {"motion": "kalman", "low_score": 0.3}, {"accumulate": False}, TrackerConfig.strong().model_dump()]
)
def test_a_restored_tracker_goes_on_as_if_it_had_never_stopped(config: dict[str, object], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    faces, place = rng.normal(size=(6, 16)), rng.uniform(0, 500, (6, 2))
    straight = Tracker(TrackerConfig(**config), frame_rate=12.5)  # type: ignore[arg-type]
    resumed = straight
    for frame in range(40):
        place += rng.normal(0, 12, place.shape)
        seen = rng.random(6) > 0.4
        boxes = np.hstack((place, place + np.array([40, 90])))[seen]
        features = None if frame == 3 else faces[seen] + rng.normal(0, 0.5, (seen.sum(), 16))
        scores = rng.random(seen.sum())
        if frame in (1, 5, 20):
            save_tracker(resumed, tmp_path / "state.safetensors")
            resumed = load_tracker(tmp_path / "state.safetensors")
            assert resumed.config == straight.config
        one = straight.update(boxes, features, scores)
        other = resumed.update(boxes, features, scores) if resumed is not straight else one
        np.testing.assert_array_equal(one.ids, other.ids)
    assert resumed is not straight
    assert resumed.n_alive == straight.n_alive


def test_what_is_no_state_of_a_tracker(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_tracker(path)
    Embedder.untrained("resnet18", input_size=32).save(path)
    with pytest.raises(InputError, match="not a tracker's state"):
        load_tracker(path)
    facts = {"format": "ssat-tracker-1", "config": "{}", "frame_rate": "30", "next_id": "5", "faceless": "false"}
    arrays: dict[str, np.ndarray] = {"ids": np.arange(3), "boxes": np.zeros((2, 4)), "missed": np.zeros(3, np.int64)}
    save_file(arrays, path, facts)
    with pytest.raises(InputError, match="arrays of different lengths"):
        load_tracker(path)
    save_file(arrays, path, facts | {"config": '{"tau9": 1}'})
    with pytest.raises(InputError, match="damaged state"):
        load_tracker(path)


def test_a_state_of_the_former_format_is_converted(tmp_path: Path) -> None:
    now = Tracker(TrackerConfig(motion="kalman"), frame_rate=10)
    rng = np.random.default_rng(0)
    boxes = np.array([[0.0, 0, 40, 90], [300, 0, 340, 90]])
    features = rng.normal(size=(2, 16))
    for frame in range(5):
        now.update(boxes + 4 * frame, features)
    names = {"time_since_update": "missed", "position": "place", "velocity": "speed"}
    arrays = {names.get(name, name): array for name, array in now.state.arrays().items()}
    facts = {
        "format": "ssat-tracker-1",
        "config": now.config.model_dump_json(),
        "frame_rate": "10",
        "next_id": "3",
        "faceless": "false",
    }
    save_file(arrays, tmp_path / "old.safetensors", facts)
    old = load_tracker(tmp_path / "old.safetensors")
    for frame in range(5, 9):
        one, other = (tracker.update(boxes[::-1] + 4 * frame, features[::-1]) for tracker in (now, old))
        assert one.ids.tolist() == other.ids.tolist() == [2, 1]
    assert old.update([[900.0, 0, 940, 90]], rng.normal(size=(1, 16))).ids.tolist() == [3]
