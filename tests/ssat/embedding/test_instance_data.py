"""Training on instances: the data, the loop, resumption and warm start, on a small store with boxes that move."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from ssat.embedding.checkpoint import latest_checkpoint, load_head_rows, load_state
from ssat.embedding.data import TrainingData
from ssat.embedding.embedder import Embedder
from ssat.embedding.patches import crop_patches
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_loop import train_loop
from ssat.embedding.whitening import within_class_whitening
from ssat.errors import InputError
from ssat.frames.augment import FrameDecoder
from ssat.frames.instances import InstanceTable
from ssat.frames.store import FrameStore
from tests.ssat.embedding.test_train_loop import StoppedError, StopsAfter, settings, weights

pytestmark = pytest.mark.slow

PATCH = {"instances": "patch", "flip": True, "frames_per_clip": 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def patch(**values: object) -> TrainSettings:
    return settings(**{**PATCH, **values})


def test_settings_of_clips_are_recorded_as_before() -> None:
    recorded = TrainSettings.build("paper").model_dump(mode="json")
    assert not {"instances", "patches_per_clip", "instances_per_frame", "replace_background"} & set(recorded)
    assert patch().identity()["instances"] == "patch"
    assert patch(replace_background=0.5).identity() != patch().identity()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"instances": "clip", "replace_background": 0.5}, "replace_background: for instances patch only"),
        ({"instances": "clip", "instances_per_frame": 2}, "instances_per_frame: for instances patch only"),
        ({"instances": "clip", "whiten_within": 0.1}, "whiten_within: for instances patch only"),
        ({"whiten": 0.1, "whiten_within": 0.1}, "give one of them"),
        ({"brightness": 0.2}, "brightness and contrast are for instances clip"),
        ({"instances_per_frame": 5}, "does not divide by instances_per_frame 5"),
        (
            {"instances_per_frame": 8, "workers": 4, "batch_size": 16},
            "the 2 frames of a batch do not divide by workers",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        patch(**values)


def test_the_classes_are_the_instances_of_the_training_clips(
    small_store: FrameStore, small_instances: InstanceTable
) -> None:
    data = TrainingData(patch(), small_store, 0, 1, small_instances)
    assert data.classes == 7 * 5, "of eight clips one shows none"
    assert data.held_out == [8, 9]
    assert data.clip_of(0) == 0
    assert data.clip_of(34) == 7
    assert data.steps_per_epoch == 7 * 4 * 4 // 16
    images, labels = next(data.epoch(0))
    assert images.shape == (16, 32, 32, 3)
    assert labels.max() < data.classes
    assert data.digest != small_store.digest
    fewer = TrainingData(patch(clips=4), small_store, 0, 1, small_instances)
    assert data.class_ids[: fewer.classes] == fewer.class_ids


def test_held_out_crops_are_the_boxes_as_a_tracker_cuts_them(
    small_store: FrameStore, small_instances: InstanceTable
) -> None:
    frames = TrainingData(patch(), small_store, 0, 1, small_instances).held_out_frames
    assert np.unique(frames.clips).tolist() == [*range(8000, 8005), *range(9000, 9005)]
    assert np.bincount(frames.clips - 8000)[:5].tolist() == [6] * 5
    assert np.ptp(frames.times_us[frames.clips == 9003]) == 28 * 40_000
    ((index, pts_us, jpeg),) = small_store.select({9: [28]})[9]
    assert index == 28
    shown = FrameDecoder().decode(jpeg, 256)
    _, boxes = small_instances.part(2).of_frame(9, 28)
    expected, _ = crop_patches(shown, boxes[[3]].astype(float) * (96, 64, 96, 64), 32)
    row = np.flatnonzero((frames.clips == 9003) & (frames.times_us == pts_us))
    np.testing.assert_array_equal(frames.crops[row], expected)


def test_it_learns_to_tell_the_instances_of_a_clip_apart(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path
) -> None:
    result = train_loop(patch(epochs=10), small_store, tmp_path, instances=small_instances)
    assert result.classes == 35
    assert result.history[-1].accuracy > 0.4, "chance is 1/35"
    assert result.history[-1].loss < result.history[0].loss * 0.6
    # Two held-out clips of five boxes each, that overlap.
    assert result.held_out["verification_auc"] > 0.8
    # The clips are 1.2 s long: nothing is three seconds apart.
    assert {name for name in result.held_out if name.startswith("recall")} == {"recall_at_1", "recall_at_1_gap_0.1s"}
    embedder = Embedder.load(result.embedder)
    assert embedder.facts["settings"]["instances"] == "patch"
    assert embedder.facts["data_digest"] == TrainingData(patch(), small_store, 0, 1, small_instances).digest


def test_an_interrupted_training_ends_with_the_same_weights(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path
) -> None:
    train_loop(patch(whiten_within=0.1), small_store, tmp_path / "whole", instances=small_instances)
    with pytest.raises(StoppedError):
        train_loop(
            patch(whiten_within=0.1, checkpoint_every=5),
            small_store,
            tmp_path / "resumed",
            StopsAfter(14),
            None,
            None,
            small_instances,
        )
    assert latest_checkpoint(tmp_path / "resumed" / "checkpoints").name != "step-0000000028"
    train_loop(patch(whiten_within=0.1), small_store, tmp_path / "resumed", instances=small_instances)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_directions_in_which_views_of_a_patch_differ_count_less(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path
) -> None:
    chosen = patch(epochs=1, whiten_within=0.1)
    plain = Embedder.load(
        train_loop(patch(epochs=1), small_store, tmp_path / "plain", instances=small_instances).embedder
    )
    made = Embedder.load(train_loop(chosen, small_store, tmp_path / "within", instances=small_instances).embedder)
    views, labels = TrainingData(chosen, small_store, 0, 1, small_instances).whitening_views
    assert np.bincount(labels).max() > 1
    with torch.inference_mode():
        before, after = (one.network(torch.from_numpy(views)).double().numpy() for one in (plain, made))
    expected = (before - before.mean(axis=0)) @ within_class_whitening(before, labels, 0.1)
    np.testing.assert_allclose(after, expected, atol=1e-3 * np.abs(expected).max())


def test_a_larger_training_starts_from_the_head_of_a_smaller_one(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_loop(patch(clips=4, epochs=1), small_store, tmp_path / "small", instances=small_instances)
    kept = latest_checkpoint(tmp_path / "small" / "checkpoints")
    state = load_state(kept, settings={})
    smaller = load_head_rows(kept, state["head_files"], range(20))["weight"]
    larger = patch(epochs=1, learning_rate=1e-9, warm_start=str(tmp_path / "small"))
    train_loop(larger, small_store, tmp_path / "large", instances=small_instances)
    kept = latest_checkpoint(tmp_path / "large" / "checkpoints")
    rows = load_head_rows(kept, load_state(kept, settings={})["head_files"], range(35))["weight"]
    torch.testing.assert_close(rows[:20], smaller)
    # Classes of another kind have other numbers: only the network is taken, and a line says so.
    with caplog.at_level(logging.WARNING):
        clips = settings(epochs=1, warm_start=str(tmp_path / "small"))
        train_loop(clips, small_store, tmp_path / "clips")
    assert "only its network is taken" in caplog.text


def test_a_table_is_needed_for_patches_and_refused_for_clips(
    small_store: FrameStore, small_instances: InstanceTable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no instances table is given"):
        train_loop(patch(), small_store, tmp_path)
    with pytest.raises(InputError, match="an instances table is given"):
        train_loop(settings(), small_store, tmp_path, instances=small_instances)
