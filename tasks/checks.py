"""Checks before a service starts: paths, lists, stores, sequences, embedders and resources of each stage.

Nothing here imports Prefect, Ray, MLflow or torch: an error is reported within two seconds.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.settings import DecodeSettings
from ssat.output_paths import refuse_source_in
from ssat.pipeline.benchmark_inputs import check_sequences, sequences_of
from ssat.pipeline.settings import BenchmarkSettings
from ssat.redaction import without_credentials
from ssat.workspace import Workspace
from tasks.databases import check_database, is_sqlite, mlflow_schema, sqlite_file
from tasks.embedders import check_embedder
from tasks.environment import available_cpus, gpu_names, ray_is_named

_RUN_ID = re.compile(r"[0-9a-f]{6,32}")
_CHAMPION = "champion"
_REGISTRY = re.compile(r"(https?|sqlite|postgresql|mysql|mssql)(\+\w+)?://.+")


def check_source(workspace: Workspace, settings: CollectSettings) -> str:
    """Return the source of clips; its list is not read.

    Raises:
        InputError: no source, or one inside the workspace's own clips.
    """
    if not settings.source:
        raise InputError(
            "collect: no source given; name a Kinetics CSV, a text file of URLs or a folder of videos with setting "
            "`source`"
        )
    refuse_source_in(workspace.clips, Path(settings.source).expanduser())
    return settings.source


def refuse_dry_writer(settings: DecodeSettings) -> None:
    """Refuse to discard the frames if a training follows.

    Raises:
        InputError: setting `dry_writer` is on.
    """
    if settings.dry_writer:
        raise InputError(
            "setting decode.dry_writer: on, and a training follows; expected off. Measure with the stage decode alone"
        )


def check_train(settings: TrainSettings) -> None:
    """Check the machine and the paths of a training.

    Raises:
        InputError: a path that is missing, or more workers than this machine has CPUs or GPUs.
    """
    check_resources(settings)
    if settings.warm_start is not None and not Path(settings.warm_start).expanduser().exists():
        raise InputError(
            f"setting train.warm_start: {settings.warm_start}: no such folder; expected the folder of a finished "
            "training (workspace/training/…)"
        )
    if settings.evaluation.mot is not None:
        sequences_of(BenchmarkSettings(mot=settings.evaluation.mot))
    probe = settings.evaluation.probe
    if probe is not None and not Path(probe).expanduser().exists():
        raise InputError(f"setting train.probe: {probe}: no such folder; expected footage with detections")


def check_resources(settings: TrainSettings) -> None:
    """Check a training's workers against this machine, where no cluster is named.

    Raises:
        InputError: more workers than CPUs or GPUs, or a GPU asked for where none is.
    """
    if ray_is_named():
        return  # the cluster is asked when it is connected
    execution = settings.execution
    name, workers = "workers", execution.workers
    if execution.min_workers is not None:
        name, workers = "min_workers", execution.min_workers
    if execution.device == "cuda":
        gpus = len(gpu_names())
        if not gpus:
            raise InputError("setting train.device: cuda asked for, but this machine has no GPU; use auto or cpu")
        if workers > gpus:
            raise InputError(f"setting train.{name}: {workers} are more than this machine's {gpus} GPUs")
    cpus = max(2, available_cpus())  # as many as the local cluster is started with
    if workers > cpus:
        raise InputError(f"setting train.{name}: {workers} are more than this machine's {cpus} CPUs")


def check_benchmark(workspace: Workspace, settings: BenchmarkSettings) -> None:
    """Check the sequences, detections, ground truth, networks and paths of a benchmark.

    Raises:
        InputError: sequences or files that cannot be used, or an embedder that is missing.
    """
    check_sequences(settings)
    if settings.needs_appearance and settings.embedder is not None:
        check_embedder(settings.embedder, workspace)
    if settings.refine != "none":
        from ssat.detection.checkpoint import checkpoint_path, refuse_missing

        refuse_missing(checkpoint_path(settings.refinement.checkpoint, workspace.root))


def check_files(paths: Iterable[Path]) -> None:
    """Raise InputError that names the first of `paths` that is missing."""
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected an image")


def check_runs(workspace: Workspace, runs: Iterable[str]) -> None:
    """Check the names of runs, and look for them where the workspace's own database records them.

    A tracking server that MLFLOW_TRACKING_URI names is not asked here.

    Raises:
        InputError: a name that no run can have, or a run that the workspace has not recorded.
        ServiceError: the workspace's database cannot be used.
    """
    wanted = [run for run in runs if run != _CHAMPION]
    for run in wanted:
        if not _RUN_ID.fullmatch(run):
            raise InputError(
                f"run {run!r}: expected an MLflow run id, six or more of its first characters, or champion"
            )
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return
    database = workspace.mlflow / "mlflow.db"
    if not database.exists():
        raise InputError(
            f"workspace {workspace.root}: no runs are recorded here; give the workspace of the trainings with "
            "--workspace, or name their server with MLFLOW_TRACKING_URI"
        )
    check_database(database, mlflow_schema())
    for run in wanted:
        if not _is_recorded(database, run):
            raise InputError(f"run {run}: no run whose id begins so at {database}")


def check_registry(uri: str, own: str) -> None:
    """Check that `uri` names another registry than `own` and that it answers.

    Raises:
        InputError: an address of another kind, or that of this workspace's own registry.
        ServiceError: the server does not answer, or refuses the login.
    """
    from tasks.addresses import exempt_loopback
    from tasks.services import check_mlflow

    shown = without_credentials(uri)
    if not _REGISTRY.fullmatch(uri):
        raise InputError(
            f"--to {shown!r}: not the address of an MLflow registry; expected http(s)://HOST:PORT or a database, such "
            "as sqlite:////data/mlflow.db"
        )
    if uri.rstrip("/") == own.rstrip("/"):
        raise InputError(f"--to {shown}: the registry that the version is in; expected another one")
    file = sqlite_file(uri) if is_sqlite(uri) else None
    if file is not None and not file.parent.is_dir():
        raise InputError(f"--to {shown}: no folder {file.parent}; expected the database in a folder that exists")
    exempt_loopback(uri)
    check_mlflow(uri, "--to", "Give the address of a registry that runs")


def _is_recorded(database: Path, run: str) -> bool:
    """Return whether a run's id begins with `run`; True if the database is remote: MLflow then reports it."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            found = connection.execute("SELECT 1 FROM runs WHERE substr(run_uuid, 1, ?) = ?", (len(run), run))
            return found.fetchone() is not None
    except sqlite3.Error:
        return True
