"""Data-parallel training on Ray Train, recorded in MLflow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task

from ssat.embedding.settings import TrainSettings
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace, committed
from tasks.embedders import EMBEDDER_FILE, RESULT_FILE, register_embedder
from tasks.mlflow_run import Dataset, MlflowReporter, mlflow_run
from tasks.progress_board import ProgressBoard, watched
from tasks.train_worker import train_worker

EXPERIMENT = "ssat-train"
_EXAMPLE_PATCHES = 4


def training_folder(workspace: Workspace, settings: TrainSettings, store: FrameStore) -> Path:
    """Where this training lies: one folder per data and settings, so that the same training is done once."""
    # Where it runs does not change what it learns, but for the number of workers (each normalises its own batch).
    key = settings.model_dump(mode="json", exclude={"device", "loader_threads"})
    digest = hashlib.sha256(json.dumps([key, store.digest], sort_keys=True).encode()).hexdigest()
    return workspace.training / digest[:16]


@task(name="train embedder", persist_result=False)
def train_embedder(workspace: Workspace, settings: TrainSettings) -> dict[str, Any]:
    """Trains, or gives the result of the same training done before.

    Raises:
        InputError: no usable frame store, or settings that it cannot serve.
    """
    store = FrameStore.open(workspace.frames)
    folder = training_folder(workspace, settings, store)
    result_file = folder / RESULT_FILE
    if result_file.exists():
        return {**json.loads(result_file.read_text()), "reused": True}
    folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset("frames", store.digest, str(workspace.frames))
    with mlflow_run(workspace, EXPERIMENT, f"train-{folder.name}", settings, dataset=dataset) as reporter:
        examples = _report_crops(reporter, settings, store, folder)
        trained = _train_on_ray(settings, workspace.frames, folder, reporter)
        _report_curves(reporter, trained["history"], folder)
        reporter.flush()
        facts = {**trained["held_out"], "data_digest": store.digest, "classes": trained["classes"]}
        version = register_embedder(reporter.run_id, folder / EMBEDDER_FILE, examples, facts)
        result = {
            "embedder": workspace.relative(folder / EMBEDDER_FILE),
            "mlflow_run_id": reporter.run_id,
            "model_version": version,
            "settings": settings.model_dump(mode="json"),
            "data_digest": store.digest,
            **{key: trained[key] for key in ("classes", "steps", "held_out", "history")},
        }
        with committed(result_file) as temporary:
            temporary.write_text(json.dumps(result, indent=1))
    return {**result, "reused": False}


def _report_crops(reporter: MlflowReporter, settings: TrainSettings, store: FrameStore, folder: Path) -> np.ndarray:
    """Logs a picture of crops exactly as training sees them; gives a few of them as the model's input example."""
    from ssat.embedding.data import TrainingData
    from ssat.report.sheets import crop_sheet

    # The crops of the full-size epochs: the small ones of the first epochs are not what the embedder takes.
    crops, labels = next(TrainingData(settings, store, 0, settings.workers).epoch(settings.early_epochs))
    reporter.file(crop_sheet(crops[:64], labels[:64].tolist(), folder / "crops.png"), "pictures")
    return crops[:_EXAMPLE_PATCHES]


def _report_curves(reporter: MlflowReporter, history: list[dict[str, float]], folder: Path) -> None:
    from ssat.report.plots import training_curves

    reporter.table("history", [{key: row.get(key, "") for key in history[-1]} for row in history])
    reporter.file(training_curves(history, folder / "curves.png"), "pictures")


def _train_on_ray(settings: TrainSettings, frames: Path, folder: Path, reporter: MlflowReporter) -> dict[str, Any]:
    """Runs `train_loop` in every worker of a Ray Train group; gives what rank 0 returns."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    board = ray.remote(num_cpus=0)(ProgressBoard).remote()
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "settings": settings.model_dump(mode="json"),
            "frames": str(frames),
            "folder": str(folder),
            "tracking_uri": reporter.tracking_uri,
            "run_id": reporter.run_id,
            "board": board,
        },
        scaling_config=ScalingConfig(num_workers=settings.workers, use_gpu=_on_gpus(settings)),
        # A lost worker costs the epoch it was in: the group starts again and goes on from the checkpoint.
        run_config=RunConfig(name="ray", storage_path=str(folder), failure_config=FailureConfig(max_failures=2)),
    )
    with watched(board):
        outcome = trainer.fit()
    trained: dict[str, Any] = outcome.return_value
    return trained


def _on_gpus(settings: TrainSettings) -> bool:
    import ray

    return settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= settings.workers
