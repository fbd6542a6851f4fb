"""Copy a version of the registered embedder to another registry: files, settings, metrics and parent run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.errors import InputError, ServiceError
from ssat.file_names import EMBEDDER_FILE
from ssat.redaction import without_credentials
from ssat.workspace import Workspace
from tasks.addresses import exempt_loopback
from tasks.checks import check_registry
from tasks.databases import is_sqlite, sqlite_file
from tasks.embedders import MODEL_NAME
from tasks.recorded import TRAININGS, Recorded, Version, logged_model_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

_COPIED_FROM = "copied_from_run"
_PARENT = "mlflow.parentRunId"
_BATCH = 1000  # metrics that MLflow takes in one call
_PARAMS = 100  # likewise parameters and tags


@dataclass(frozen=True)
class CopiedVersion:
    """A version of the embedder in another registry.

    Attributes:
        registry: its address, without credentials.
        version: there; None after a dry run.
        source_version: here.
        source_run: training it comes from, here.
        run: its copy there; None after a dry run.
        embedder_digest: of the weights, the same on both sides.
        metrics: values that were copied: of the run with their steps, and of the logged model.
        existed: the version was there already.
        dry_run: nothing was changed.
    """

    registry: str
    version: str | None
    source_version: str
    source_run: str
    run: str | None
    embedder_digest: str
    metrics: int
    existed: bool
    dry_run: bool


@task(name="copy version", persist_result=False, cache_policy=NO_CACHE)
def copy_version(workspace: Workspace, run_id: str, to: str, *, dry_run: bool = False) -> CopiedVersion:
    """Copy the version that a training registered to the registry at `to`, once.

    The copy has the run's settings, tags, metrics with their steps and parent run, the model's files, tags, description
    and metrics by data set. Aliases are not copied: a registry has its own champion. The weights are read back from the
    other registry and compared before the version is made.

    Args:
        workspace: whose tracking server is meant, unless MLFLOW_TRACKING_URI names one.
        run_id: of the training, six or more of its first characters, or `champion`.
        to: address of the other registry.
        dry_run: read and check everything here, change nothing there.

    Raises:
        InputError: no such training, weights that do not have the version's digest, or a copy that differs.
    """
    recorded = Recorded(workspace)
    check_registry(to, str(recorded.client.tracking_uri))
    run = recorded.run(run_id)
    version = recorded.version_of(run.info.run_id)
    shown = without_credentials(to)
    with tempfile.TemporaryDirectory(prefix="ssat-copy-") as temporary:
        folder = _downloaded(recorded.client, version, Path(temporary) / "here")
        _check_digest(folder, version.digest, f"version {version.number} of {MODEL_NAME}")
        if dry_run:
            return _answer(shown, None, version, None, 0, existed=False, dry_run=True)
        with _registry(to) as there:
            known = _copies(there, version)
            if known:
                return _answer(shown, str(known[0].version), version, known[0].run_id, 0, existed=True, dry_run=False)
            experiment = _experiment(there, to)
            copy, n_metrics = _copied_run(recorded.client, run, there, experiment)
            try:
                model_id = _copied_model(there, experiment, copy, run, folder)
                read_back = _downloaded_model(there, model_id, Path(temporary) / "there")
                _check_digest(read_back, version.digest, f"{shown}: the copy of version {version.number}")
                n_metrics += _copied_model_metrics(recorded.client, version, there, model_id, copy)
                made = _new_version(recorded.client, version, there, model_id, copy)
            except BaseException:
                with suppress(Exception):
                    there.set_terminated(copy, "FAILED")
                raise
            there.set_terminated(copy, run.info.status)
    return _answer(shown, made, version, copy, n_metrics, existed=False, dry_run=False)


def _answer(
    registry: str, made: str | None, version: Version, copy: str | None, metrics: int, *, existed: bool, dry_run: bool
) -> CopiedVersion:
    return CopiedVersion(
        registry, made, version.number, version.run_id, copy, version.digest, metrics, existed, dry_run
    )


@contextmanager
def _registry(uri: str) -> Iterator[MlflowClient]:
    """A client of the other registry; MLflow's database stores ask the global address too, so it is set inside."""
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    exempt_loopback(uri)
    before, named = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)  # sets the variable too
    try:
        yield MlflowClient(uri, registry_uri=uri)
    except MlflowException as error:
        reason = " ".join(str(error).split())[:300]
        raise ServiceError(
            f"--to {without_credentials(uri)}: {reason}; nothing was registered there. Copy again"
        ) from error
    finally:
        mlflow.set_tracking_uri(before)
        if named is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)


def _downloaded(client: MlflowClient, version: Version, into: Path) -> Path:
    """Return the folder of the version's files, fetched from this side."""
    import mlflow

    source = client.get_model_version(MODEL_NAME, version.number).source
    into.mkdir()
    return Path(
        mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(into), tracking_uri=client.tracking_uri)
    )


def _downloaded_model(client: MlflowClient, model_id: str, into: Path) -> Path:
    import mlflow

    into.mkdir()
    return Path(
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"models:/{model_id}", dst_path=str(into), tracking_uri=client.tracking_uri
        )
    )


def _check_digest(folder: Path, digest: str, whose: str) -> None:
    from ssat.embedding.embedder import Embedder

    files = sorted(folder.rglob(EMBEDDER_FILE))
    if len(files) != 1:
        raise InputError(f"{whose}: holds {len(files)} files named {EMBEDDER_FILE}, expected one. Register it again")
    found = Embedder.load(files[0]).digest
    if found != digest:
        raise InputError(f"{whose}: weights with digest {found}, expected {digest}. Nothing was registered; copy again")


def _copies(there: MlflowClient, version: Version) -> list[Any]:
    """Return the versions of the other registry that were copied from this one."""
    return list(there.search_model_versions(f"name = '{MODEL_NAME}' and tags.{_COPIED_FROM} = '{version.run_id}'"))


def _experiment(there: MlflowClient, uri: str) -> str:
    found = there.get_experiment_by_name(TRAININGS)
    if found is not None:
        return str(found.experiment_id)
    # A server places artifacts itself; with a database they belong beside it, not into the current folder.
    file = sqlite_file(uri) if is_sqlite(uri) else None
    location = None if file is None else (file.absolute().parent / "artifacts").as_uri()
    return str(there.create_experiment(TRAININGS, artifact_location=location))


def _copied_run(here: MlflowClient, run: Any, there: MlflowClient, experiment: str) -> tuple[str, int]:
    """Return the id of the run's copy, still running, and how many metrics were copied; its parent is copied first."""
    from mlflow.entities import Param, RunTag

    tags = {key: value for key, value in run.data.tags.items() if key not in (_PARENT, "mlflow.log-model.history")}
    parent = run.data.tags.get(_PARENT)
    if parent is not None:
        tags[_PARENT] = _copied_parent(here, parent, there, experiment)
    tags[_COPIED_FROM] = run.info.run_id
    copy = there.create_run(
        experiment, start_time=run.info.start_time, run_name=run.info.run_name, tags=dict(list(tags.items())[:_PARAMS])
    ).info.run_id
    rest = [RunTag(key, value) for key, value in list(tags.items())[_PARAMS:]]
    for start in range(0, len(rest), _PARAMS):
        there.log_batch(copy, tags=rest[start : start + _PARAMS])
    params = [Param(key, value) for key, value in run.data.params.items()]
    for start in range(0, len(params), _PARAMS):
        there.log_batch(copy, params=params[start : start + _PARAMS])
    metrics = [metric for key in run.data.metrics for metric in here.get_metric_history(run.info.run_id, key)]
    for start in range(0, len(metrics), _BATCH):
        there.log_batch(copy, metrics=[_bare(metric) for metric in metrics[start : start + _BATCH]])
    return copy, len(metrics)


def _bare(metric: Any) -> Any:
    """The metric without the ids of a model and a run of this side."""
    from mlflow.entities import Metric

    return Metric(metric.key, metric.value, metric.timestamp, metric.step)


def _copied_parent(here: MlflowClient, parent: str, there: MlflowClient, experiment: str) -> str:
    """Return the copy of the parent run, made once."""
    found = there.search_runs([experiment], f"tags.{_COPIED_FROM} = '{parent}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    run = here.get_run(parent)
    copy, _ = _copied_run(here, run, there, experiment)
    there.set_terminated(copy, run.info.status)
    return copy


def _copied_model(there: MlflowClient, experiment: str, copy: str, run: Any, folder: Path) -> str:
    """Return the id of the logged model with the files of `folder`."""
    model = there.create_logged_model(experiment, name="embedder", source_run_id=copy, params=dict(run.data.params))
    described = folder / "MLmodel"
    if described.is_file():
        _point_to(described, copy, model.model_id)
    there.log_model_artifacts(model.model_id, str(folder))
    there.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def _point_to(described: Path, run: str, model_id: str) -> None:
    """Replace the ids of run and model in an MLmodel file by those of the copy."""
    import yaml

    content = yaml.safe_load(described.read_text(encoding="utf-8"))
    if "run_id" in content:
        content["run_id"] = run
    if "model_id" in content:
        content["model_id"] = model_id
    content.pop("artifact_path", None)
    described.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _copied_model_metrics(here: MlflowClient, version: Version, there: MlflowClient, model_id: str, copy: str) -> int:
    """Copy the metrics by data set of the version's logged model; return how many."""
    from mlflow.entities import Metric

    own = logged_model_of(here, version.digest)
    metrics = [] if own is None else here.get_logged_model(own).metrics or []
    metrics = [metric for metric in metrics if metric.dataset_name]
    if metrics:
        there.log_batch(
            copy,
            metrics=[
                Metric(m.key, m.value, m.timestamp, m.step, model_id, m.dataset_name, m.dataset_digest, copy)
                for m in metrics[:_BATCH]
            ],
        )
    return len(metrics[:_BATCH])


def _new_version(here: MlflowClient, version: Version, there: MlflowClient, model_id: str, copy: str) -> str:
    from mlflow.exceptions import MlflowException

    own = here.get_model_version(MODEL_NAME, version.number)
    if not there.search_registered_models(f"name = '{MODEL_NAME}'"):
        with suppress(MlflowException):  # another process may create it in the same moment
            there.create_registered_model(MODEL_NAME)
    tags = {**own.tags, _COPIED_FROM: version.run_id, "copied_from_version": version.number}
    made = there.create_model_version(
        MODEL_NAME, f"models:/{model_id}", copy, tags=tags, description=own.description, model_id=model_id
    )
    return str(made.version)
