"""Data-parallel training on Ray Train, recorded in MLflow."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prefect import task

from ssat.embedding.identity import HISTOGRAM
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError, SsatError
from ssat.file_names import CHECKPOINTS, EMBEDDER_FILE, TRAINING_RESULT
from ssat.frames.instances import InstanceTable
from ssat.frames.store import FrameStore
from ssat.once import once, save_result
from ssat.workspace import Workspace
from tasks.embedders import register_embedder
from tasks.evaluations import evaluation_of, probe_of_settings
from tasks.feature_choice import compare_with_colours
from tasks.halt import terminable
from tasks.instances import InstanceCounts, instances_of
from tasks.lone_trainer import LoneTrainer
from tasks.mlflow_reporter import MlflowReporter, send_kept
from tasks.mlflow_run import Dataset, mlflow_run
from tasks.progress_artifact import progress_artifact
from tasks.progress_board import new_board, watched
from tasks.train_worker import train_alone, train_worker
from tasks.trained import FeatureChoice, TrainedEmbedder, training_folder

if TYPE_CHECKING:
    from ssat.embedding.data import TrainingData
    from ssat.embedding.held_out import HeldOutFrames
    from ssat.embedding.train_loop import TrainResult
    from ssat.pipeline.probe_evaluation import ProbeEvaluation

_LOG = logging.getLogger(__name__)

EXPERIMENT = "ssat-train"
PROBE_DIGEST = "probe_digest"  # the parameter that names the footage of the probe
_EXAMPLE_PATCHES = 4
_NETWORK_FILE = "trained-network.safetensors"  # of a training that keeps learned colours
_MAX_CHECKPOINT_ARTIFACT = 512 * 1024**2


@dataclass(frozen=True)
class _Data:
    """Training data: frames, and instances in them if a class is not a clip."""

    store: FrameStore
    instances: InstanceTable | None

    @property
    def digest(self) -> str:
        """Names both."""
        from ssat.embedding.instance_data import data_digest

        return data_digest(self.store, self.instances)

    @property
    def counts(self) -> dict[str, int]:
        """Counts of the instances table; empty without one."""
        return {} if self.instances is None else asdict(InstanceCounts.of(self.instances))

    def opened(self, settings: TrainSettings, world: int) -> TrainingData:
        """Return the batches of the first of `world` processes."""
        from ssat.embedding.data import TrainingData

        return TrainingData(settings, self.store, 0, world, self.instances)


@task(name="train embedder", persist_result=False)
def train_embedder(workspace: Workspace, settings: TrainSettings) -> TrainedEmbedder:
    """Train, or return the result of the same training done before.

    Raises:
        InputError: no usable frame store, or settings that it cannot serve.
        WorkspaceError: another process does the same training.
    """
    store = FrameStore.open(workspace.frames)
    probe = probe_of_settings(settings)
    instances = instances_of(workspace, settings, store)
    folder = training_folder(workspace, settings, store, None if probe is None else probe.digest, instances)
    data = _Data(store, instances)

    def check() -> None:
        _check_resources(settings)
        evaluation_of(settings)  # report errors now and not after hours

    return once(
        folder / TRAINING_RESULT,
        lambda file: _registered(TrainedEmbedder.load(file), settings, data, folder),
        # Two at a time would overwrite each other's checkpoints and register the embedder twice.
        lambda: _train_recorded(workspace, settings, data, folder, probe),
        check=check,
    )


def _train_recorded(
    workspace: Workspace, settings: TrainSettings, data: _Data, folder: Path, probe: ProbeEvaluation | None
) -> TrainedEmbedder:
    """Return the training in an MLflow run; its result is committed last."""
    dataset = Dataset("frames", data.digest, str(workspace.frames))
    parameters = settings.model_dump(mode="json")
    if probe is not None:
        parameters |= {"probe": str(Path(str(settings.evaluation.probe)).expanduser().absolute())}
        parameters |= {PROBE_DIGEST: probe.digest}
        for note in probe.notes:
            _LOG.warning("setting train.probe: %s", note)
    with mlflow_run(workspace, EXPERIMENT, f"train-{folder.name}", parameters, dataset=dataset) as reporter:
        examples = _report_crops(reporter, settings, data, folder)
        trained = _train_on_ray(settings, workspace, data, folder, reporter)
        choice = FeatureChoice()
        if settings.network.colours:
            choice, trained = _better(workspace, settings, data, folder, trained)
        _report_curves(reporter, [record.row() for record in trained.history], folder)
        _report_neighbours(reporter, settings, data, folder)
        _report_checkpoint(reporter, folder)
        # The last entry of a curve is that of the last evaluation; these are of the weights that were kept.
        reporter.scalars({f"kept_probe_{name}": value for name, value in trained.probe.items()}, trained.steps)
        reporter.scalars(choice.metrics, trained.steps)
        reporter.scalars({f"instances_{name}": value for name, value in data.counts.items()}, trained.steps)
        reporter.flush()
        result = TrainedEmbedder(
            embedder=workspace.relative(folder / EMBEDDER_FILE),
            mlflow_run_id=reporter.run_id,
            model_version=None,
            settings=settings.model_dump(mode="json"),
            data_digest=data.digest,
            instances=data.counts,
            classes=trained.classes,
            steps=trained.steps,
            held_out=trained.held_out,
            best=trained.best,
            history=trained.history,
            probe=trained.probe,
            choice=choice,
        )
        result = _register(result, examples, folder)
    return result


def _better(
    workspace: Workspace, settings: TrainSettings, data: _Data, folder: Path, trained: TrainResult
) -> tuple[FeatureChoice, TrainResult]:
    """Return what is kept of network and colours, and the result with the scores of what is kept, whose file it is."""
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.evaluation import as_held_out
    from ssat.embedding.held_out import held_out_scores

    embedder_file, network_file = folder / EMBEDDER_FILE, folder / _NETWORK_FILE
    # A training that was cut off after its end may have the colours in the embedder's place already.
    network = Embedder.load(network_file if network_file.exists() else embedder_file)
    choice, colours = compare_with_colours(workspace, settings, data.store, network)
    if colours is None:
        return choice, trained
    if not network_file.exists():
        network.save(network_file)
    frames = _held_out_frames(settings, data, colours.input_size)
    scores: dict[str, float] = {}
    if frames is not None:
        scores = as_held_out(held_out_scores(frames, colours(frames.crops)).named())
    if (evaluate := evaluation_of(settings)) is not None:
        scores |= evaluate(colours)
    trained = replace(trained, best={**scores, "epoch": float(settings.schedule.epochs)})
    shown = {**settings.model_dump(mode="json"), "architecture": HISTOGRAM, "crop": colours.input_size}
    facts = {**network.facts, "settings": shown, "held_out": trained.held_out, "patches": choice.patches}
    colours.facts = {**facts, **({"probe": trained.probe} if trained.probe else {})}
    colours.save(embedder_file)
    return choice, trained


def _register(result: TrainedEmbedder, examples: NDArray[np.uint8], folder: Path) -> TrainedEmbedder:
    """Register the embedder and commit the result: without a version where the tracking server is away."""
    from mlflow.exceptions import MlflowException

    from ssat.embedding.embedder import Embedder

    embedder = Embedder.load(folder / EMBEDDER_FILE)
    facts: dict[str, Any] = {**result.held_out, "data_digest": result.data_digest, "classes": result.classes}
    facts |= {f"probe_{name}": value for name, value in result.probe.items()}
    facts |= {"embedder_digest": embedder.digest}  # by which benchmarks of this version are found
    try:
        patches = _resized(examples, embedder.input_size)
        version = register_embedder(result.mlflow_run_id, folder / EMBEDDER_FILE, patches, facts)
        result = replace(result, model_version=version)
    except (MlflowException, OSError) as error:
        _LOG.warning(
            "MLflow: the embedder could not be registered (%s); `ssat train` with the same settings tries again",
            type(error).__name__,
        )
    save_result(result, folder / TRAINING_RESULT)
    return result


def _registered(result: TrainedEmbedder, settings: TrainSettings, data: _Data, folder: Path) -> TrainedEmbedder:
    """Return a finished training's result; registers the embedder where the tracking server was away when it ended."""
    if result.model_version is not None:
        return result
    return _register(result, _crops(settings, data)[0][:_EXAMPLE_PATCHES], folder)


def _crops(settings: TrainSettings, data: _Data) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return a batch as in training, of the full-size epochs."""
    return next(data.opened(settings, settings.execution.workers).epoch(settings.data.early_epochs))


def _report_crops(reporter: MlflowReporter, settings: TrainSettings, data: _Data, folder: Path) -> NDArray[np.uint8]:
    """Log a picture of crops exactly as training sees them; gives a few of them as the model's input example."""
    from ssat.report.sheets import crop_sheet

    crops, labels = _crops(settings, data)
    reporter.file(crop_sheet(crops[:64], labels[:64].tolist(), folder / "crops.png"), "pictures")
    return crops[:_EXAMPLE_PATCHES]


def _resized(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return crops (n, H, W, 3) at the side that an embedder takes."""
    import cv2

    if crops.shape[1:3] == (size, size):
        return crops
    return np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops]).astype(np.uint8)


def _held_out_frames(settings: TrainSettings, data: _Data, size: int) -> HeldOutFrames | None:
    """Return the held-out frames for an embedder of that input size; None with fewer than two held-out classes."""
    scaled = settings.model_copy(
        update={"crop": size, "short_side": round(settings.data.short_side * size / settings.data.crop)}
    )
    opened = data.opened(scaled, 1)
    if len(opened.held_out) < 2:
        return None
    frames = opened.held_out_frames
    return frames if len(frames.crops) else None


def _report_curves(reporter: MlflowReporter, history: list[dict[str, float]], folder: Path) -> None:
    from ssat.report.plots import training_curves

    reporter.table("history", [{key: row.get(key, "") for key in history[-1]} for row in history])
    reporter.file(training_curves(history, folder / "curves.png"), "pictures")


def _report_neighbours(reporter: MlflowReporter, settings: TrainSettings, data: _Data, folder: Path) -> None:
    from ssat.embedding.embedder import Embedder
    from ssat.report.sheets import neighbour_sheet

    embedder = Embedder.load(folder / EMBEDDER_FILE)
    frames = _held_out_frames(settings, data, embedder.input_size)
    if frames is None:
        return
    features = embedder(frames.crops)
    picture = neighbour_sheet(frames.crops, features, frames.clips, frames.times_us, folder / "neighbours.png")
    reporter.file(picture, "pictures")


def _report_checkpoint(reporter: MlflowReporter, folder: Path) -> None:
    """Log the last checkpoint as an artifact; if it is large, only its path."""
    from ssat.embedding.checkpoint import latest_checkpoint

    checkpoint = latest_checkpoint(folder / CHECKPOINTS)
    if checkpoint is None:
        return
    files = sorted(checkpoint.iterdir())
    reporter.tag("checkpoint", str(checkpoint))
    if sum(file.stat().st_size for file in files) <= _MAX_CHECKPOINT_ARTIFACT:
        for file in files:
            reporter.file(file, "checkpoint")


def _check_resources(settings: TrainSettings) -> None:
    """Refuse workers that do not fit: Ray would wait for them without limit.

    Raises:
        InputError: more workers than the cluster has CPUs or GPUs, or a GPU asked for where none is.
    """
    import ray

    execution = settings.execution
    resources = ray.cluster_resources()
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if execution.device == "cuda" and not gpus:
        raise InputError("setting train.device: cuda asked for, but the Ray cluster has no GPU; use auto or cpu")
    name, workers = "workers", execution.workers
    if execution.min_workers is not None:
        name, workers = "min_workers", execution.min_workers
    if execution.device == "cuda" and workers > gpus:
        raise InputError(f"setting train.{name}: {workers} are more than the cluster's {gpus} GPUs")
    # One CPU is the flow's own where Ray is local, but it waits while the workers work.
    if workers > cpus:
        raise InputError(f"setting train.{name}: {workers} are more than the Ray cluster's {cpus} CPUs")


def _train_on_ray(
    settings: TrainSettings, workspace: Workspace, data: _Data, folder: Path, reporter: MlflowReporter
) -> TrainResult:
    """Run `train_loop` in every worker of a Ray Train group, or in one task; return the result of rank 0."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    # Ray replaces lost workers where it can, and with a range continues with those it has.
    execution = settings.execution
    elastic = execution.min_workers not in (None, execution.workers)
    workers: Any = (execution.min_workers, execution.workers) if elastic else execution.workers
    board = new_board()
    config = {
        "settings": _for_workers(settings).model_dump(mode="json"),
        "frames": str(workspace.frames),
        "instances": None if data.instances is None else str(data.instances.folder),
        "folder": str(folder),
        "tracking_uri": reporter.tracking_uri,
        "run_id": reporter.run_id,
        "kept_in": str(workspace.mlflow),
        "board": board,
    }
    on_gpus, max_failures = _on_gpus(settings), execution.max_restarts
    # A lost worker costs the steps since the last checkpoint: the ranks start again and continue from there.
    if workers == 1:
        trainer: Any = LoneTrainer(train_alone, config, use_gpu=on_gpus, max_failures=max_failures)
    else:
        trainer = TorchTrainer(
            train_worker,  # type: ignore[arg-type]  # Ray hands on what it returns
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=on_gpus),
            run_config=RunConfig(
                name="ray", storage_path=str(folder), failure_config=FailureConfig(max_failures=max_failures)
            ),
        )
    with watched(board) as bar, progress_artifact(bar, "training-progress"), terminable():
        outcome = trainer.fit()
    failure: SsatError | None = ray.get(board.failure.remote())
    if failure is not None:
        raise failure
    send_kept(reporter.tracking_uri, workspace.mlflow)
    trained: TrainResult = outcome.return_value
    return trained


def _for_workers(settings: TrainSettings) -> TrainSettings:
    """Return the same with absolute paths: a worker's current folder is that of the Ray node, not of the command."""
    evaluation = settings.evaluation
    paths = {"warm_start": settings.warm_start, "evaluate_mot": evaluation.mot, "probe": evaluation.probe}
    absolute = {name: str(Path(path).expanduser().absolute()) for name, path in paths.items() if path is not None}
    return settings.model_copy(update=absolute)


def _on_gpus(settings: TrainSettings) -> bool:
    import ray

    execution = settings.execution
    gpus: float = ray.cluster_resources().get("GPU", 0)
    return execution.device != "cpu" and gpus >= (execution.min_workers or execution.workers)
