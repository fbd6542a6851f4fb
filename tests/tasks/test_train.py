"""Training as a flow, on a real local Ray, Prefect server and MLflow: done once, killed in the middle, refused."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import mlflow
import numpy as np
import psutil
import pytest
import ray
import safetensors.torch
import torch

from flows.stage_flow import run_stage
from flows.stages.train import STAGE as TRAIN
from ssat.embedding.checkpoint import latest_checkpoint
from ssat.embedding.embedder import Embedder
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_loop import TrainingDivergedError
from ssat.errors import InputError, WorkspaceError
from ssat.file_names import CHECKPOINTS, EMBEDDER_FILE
from ssat.frames.store import FrameStore
from ssat.locks import writing
from ssat.workspace import Workspace
from tasks.services import mlflow_tracking_uri
from tasks.trained import training_folder
from tests.ssat.embedding.ranks import run_ranks, train_rank
from tests.ssat.frames.conftest import small_clips, small_store

__all__ = ["small_clips", "small_store"]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server", "ray_cluster")]

SETTINGS = TrainSettings(
    architecture="resnet18",
    crop=32,
    short_side=36,
    held_out_clips=2,
    frames_per_clip=8,
    batch_size=16,
    learning_rate=0.05,
    scale=16.0,
    epochs=4,
    evaluate_every=2,
    workers=2,
    device="cpu",
    checkpoint_every=2,
)


def workspace_with(store: FrameStore, root: Path) -> Workspace:
    workspace = Workspace.open(root)
    shutil.copytree(store.folder, workspace.frames)
    return workspace


class KillsAWorker(threading.Thread):
    """Kills one data-parallel worker as soon as the training has reached a step."""

    def __init__(self, training: Path, step: int) -> None:
        super().__init__(daemon=True)
        self.killed: str | None = None
        self.over = threading.Event()  # the training has ended
        self._training = training
        self._step = step

    def run(self) -> None:
        while self.killed is None and not self.over.wait(0.05):
            for folder in self._training.glob("*/checkpoints"):
                checkpoint = latest_checkpoint(folder)
                if checkpoint is not None and int(checkpoint.name.removeprefix("step-")) >= self._step:
                    self._kill()
                    break

    def _kill(self) -> None:
        for process in psutil.Process().children(recursive=True):
            title = " ".join(process.cmdline())
            if title.startswith("ray::") and "TrainWorker" in title:
                self.killed = title
                process.kill()
                return


@pytest.mark.timeout(1500)
def test_a_worker_killed_in_the_middle_is_replaced_and_the_weights_are_the_same(
    small_store: FrameStore, tmp_path: Path, make_sequence: Callable[..., Path]
) -> None:
    footage = make_sequence(tmp_path, n_frames=24, pace=2)
    settings = SETTINGS.model_copy(update={"probe": str(footage)})
    workspace = workspace_with(small_store, tmp_path / "killed")
    killer = KillsAWorker(workspace.training, 6)
    killer.start()
    try:
        killed = run_stage(TRAIN, str(workspace.root), settings)
    finally:
        killer.over.set()
        killer.join()
    assert killer.killed is not None
    assert [record.epoch for record in killed.history] == [1, 2, 3, 4]

    # The same training undisturbed and without Ray.
    calm = tmp_path / "calm"
    calm.mkdir()
    run_ranks(train_rank, (str(calm), str(small_store.folder), settings), 2)
    first = safetensors.torch.load_file(workspace.absolute(killed.embedder))
    second = safetensors.torch.load_file(calm / EMBEDDER_FILE)
    assert all(torch.equal(first[name], second[name]) for name in first)
    last = latest_checkpoint(calm / CHECKPOINTS)
    assert last is not None
    history = json.loads((last / "state.json").read_text())["history"]
    assert [record.loss for record in killed.history] == [row["loss"] for row in history]

    # The probe is that of the best of two evaluations, in MLflow too; where the footage lies does not matter.
    assert killed.probe == Embedder.load(calm / EMBEDDER_FILE).facts["probe"]
    assert killed.probe["auc"] == max(record.scores.get("probe_auc", 0) for record in killed.history)
    recorded = mlflow.MlflowClient(mlflow_tracking_uri(workspace)).get_run(killed.mlflow_run_id).data
    assert recorded.metrics["kept_probe_auc"] == killed.probe["auc"]
    assert recorded.params["probe"] == str(footage)
    moved = footage.rename(tmp_path / "moved")
    settings = settings.model_copy(update={"probe": str(moved)})
    again = run_stage(TRAIN, str(workspace.root), settings.model_copy(update={"workers": 1}))
    assert again.reused
    folder = workspace.absolute(killed.embedder).parent
    assert Embedder.load(folder / "embedder.safetensors").facts["held_out"] == killed.held_out
    # Eight crops of a rank's first batch in two rows; two held-out frames, each with its five nearest.
    cell_h, cell_w, gap = 32 + 20, 32 + 4, 4
    for name, rows, columns in (("crops", 2, 4), ("neighbours", 2, 6)):
        sheet = cv2.imread(str(folder / f"{name}.png"))
        assert sheet.shape == (rows * cell_h + gap, columns * cell_w + gap, 3)
        for row, column in np.ndindex(rows, columns):
            top, left = gap + row * cell_h, gap + column * cell_w
            assert (sheet[top : top + 32, left : left + 32] != 255).any(axis=2).mean() > 0.9
    assert cv2.imread(str(folder / "curves.png")) is not None


@pytest.mark.timeout(900)
def test_it_makes_do_with_the_workers_that_there_is_room_for(small_store: FrameStore, tmp_path: Path) -> None:
    room = int(ray.cluster_resources()["CPU"])
    workspace = workspace_with(small_store, tmp_path)
    settings = SETTINGS.model_copy(
        update={"workers": room + 1, "min_workers": 1, "batch_size": 8 * (room + 1), "epochs": 1}
    )
    result = run_stage(TRAIN, str(workspace.root), settings)
    assert [record.workers for record in result.history] == [room]


def test_the_same_training_is_not_done_by_two_at_a_time(small_store: FrameStore, tmp_path: Path) -> None:
    workspace = workspace_with(small_store, tmp_path)
    folder = training_folder(workspace, SETTINGS, FrameStore.open(workspace.frames))
    with writing(folder, "training"), pytest.raises(WorkspaceError, match=r"process \d+ is writing this training"):
        run_stage(TRAIN, str(workspace.root), SETTINGS)


def test_a_loss_that_is_not_finite_ends_the_training_without_another_try(
    small_store: FrameStore, tmp_path: Path
) -> None:
    workspace = workspace_with(small_store, tmp_path)
    values = {"learning_rate": 1e30, "schedule": "cosine", "warmup": 0.0, "workers": 1, "epochs": 1}
    settings = SETTINGS.model_copy(update=values)
    with pytest.raises(TrainingDivergedError, match=r"on clips clip.*step-\d+ is kept"):
        run_stage(TRAIN, str(workspace.root), settings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 64, "batch_size": 128}, r"train\.workers: 64 are more than the Ray cluster's \d+ CPUs"),
        (
            {"workers": 80, "min_workers": 64, "batch_size": 160},
            r"train\.min_workers: 64 are more than the Ray cluster's \d+ CPUs",
        ),
        ({"device": "cuda"}, "cuda asked for, but the Ray cluster has no GPU"),
        ({"evaluate_mot": "/nowhere"}, "/nowhere: no such folder"),
    ],
)
def test_what_the_cluster_cannot_do_is_said_at_once(
    values: dict[str, object], message: str, small_store: FrameStore, tmp_path: Path
) -> None:
    workspace = workspace_with(small_store, tmp_path)
    with pytest.raises(InputError, match=message):
        run_stage(TRAIN, str(workspace.root), SETTINGS.model_copy(update=values))
    assert not list(workspace.training.glob("*"))
