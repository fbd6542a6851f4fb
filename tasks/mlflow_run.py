"""An MLflow run of a stage: its settings, environment and reports."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ssat.errors import ServiceError
from ssat.json_values import json_values
from ssat.redaction import without_credentials
from ssat.workspace import Workspace
from tasks.addresses import exempt_loopback
from tasks.databases import is_sqlite
from tasks.environment import environment_facts, git_commit
from tasks.mlflow_reporter import MlflowReporter, send_kept
from tasks.services import mlflow_tracking_uri, mlflow_unusable, prepare_mlflow

__all__ = ["Dataset", "MlflowReporter", "flat_settings", "mlflow_run"]

_LOG = logging.getLogger(__name__)
_PARAMS = 100  # parameters that MLflow takes in one call
_PARAM_CHARACTERS = 6000
_SECRET_WORDS = ("password", "secret", "token", "cookie", "credential", "api_key")


@dataclass(frozen=True)
class Dataset:
    """The data that a run has read: a name, its content digest and where it lies."""

    name: str
    digest: str
    location: str


@contextmanager
def mlflow_run(
    workspace: Workspace,
    experiment: str,
    run_name: str,
    settings: BaseModel | Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    dataset: Dataset | None = None,
    *,
    system_metrics: bool = True,
) -> Iterator[MlflowReporter]:
    """Activate a run of `experiment` inside the context, so that `mlflow.pytorch.log_model` and others use it.

    It records the settings as parameters (nested ones with dots, secrets left out), the git commit, library versions,
    hardware, the data set with its digest, and CPU, memory, disk and GPU use over time. Inside another run it is a
    child of that. It ends as FINISHED, FAILED on an exception, KILLED on an interrupt.

    What earlier runs of this workspace could not send is sent first.

    Raises:
        ServiceError: the tracking server does not answer at the start. Later failures are warnings.
    """
    import mlflow

    uri = mlflow_tracking_uri(workspace)
    named = os.environ.get("MLFLOW_TRACKING_URI")
    exempt_loopback(uri)
    mlflow.set_tracking_uri(uri)  # sets the variable too, which child processes then inherit
    try:
        if named is None:
            prepare_mlflow(workspace)
        run = mlflow.start_run(
            experiment_id=_experiment(workspace, uri, experiment),
            run_name=run_name,
            nested=mlflow.active_run() is not None,
            tags=_tags(tags),
            log_system_metrics=system_metrics,
        )
        _log_inputs(uri, run.info.run_id, settings, dataset)
    except ServiceError:
        _restore(named)
        raise
    except Exception as error:
        # MLflow does not wrap errors of the database and of its HTTP client.
        _restore(named)
        raise mlflow_unusable(workspace, uri, error) from error
    send_kept(uri, workspace.mlflow)
    reporter = MlflowReporter(uri, run.info.run_id, kept_in=workspace.mlflow)
    reporter.text(json.dumps(json_values(environment_facts()), indent=1), "environment.json")
    status = "FAILED"
    try:
        yield reporter
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        reporter.flush()
        _restore(named)
        try:
            mlflow.end_run(status)
        except Exception as error:  # noqa: BLE001 - the work is done; only its end could not be recorded
            reporter.status(status)
            _LOG.warning(
                "MLflow %s: the end of run %s was not recorded (%s)",
                without_credentials(uri),
                run.info.run_id,
                type(error).__name__,
            )
        reporter.close()


def _restore(named: str | None) -> None:
    """Unset the variable if it was not set before: the next run may belong to another workspace."""
    if named is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def flat_settings(settings: BaseModel | Mapping[str, Any] | None) -> dict[str, str]:
    """Return settings as MLflow parameters: nested names joined by dots, values as text, secrets left out."""
    if settings is None:
        return {}
    values = settings.model_dump(mode="json") if isinstance(settings, BaseModel) else dict(settings)
    flat: dict[str, str] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                add(f"{prefix}.{key}" if prefix else str(key), inner)
            return
        if any(word in prefix.lower() for word in _SECRET_WORDS):
            return
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if "://" in text:
            text = without_credentials(text) if isinstance(value, str) else "…"
        flat[prefix] = text[:_PARAM_CHARACTERS]

    add("", values)
    return flat


def _experiment(workspace: Workspace, uri: str, name: str) -> str:
    """Return the id of the experiment called `name`, made where it is missing or brought back where it was deleted."""
    from mlflow import MlflowClient, MlflowException

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server places artifacts itself; with a database in the workspace they belong into the workspace.
        location = (workspace.mlflow / "artifacts").as_uri() if is_sqlite(uri) else None
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    result = {key: str(value) for key, value in (tags or {}).items()}
    commit = git_commit()
    if commit is not None:
        result["mlflow.source.git.commit"] = commit
    facts = environment_facts()
    result |= {f"version.{name}": version for name, version in facts.versions.items()}
    result |= {f"hardware.{name}": str(value) for name, value in facts.hardware.as_json().items()}
    return result


def _log_inputs(uri: str, run_id: str, settings: BaseModel | Mapping[str, Any] | None, dataset: Dataset | None) -> None:
    from mlflow import MlflowClient
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import Param

    client = MlflowClient(uri)
    params = [Param(key, value) for key, value in flat_settings(settings).items()]
    if dataset is not None:
        params.append(Param("dataset.digest", dataset.digest))
    for start in range(0, len(params), _PARAMS):
        client.log_batch(run_id, params=params[start : start + _PARAMS])
    if dataset is not None:
        import mlflow

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # several of MLflow's source classes accept a local folder; any is fine
            source = resolve_dataset_source(dataset.location)
        # MLflow's column for a digest holds 36 characters; the parameter above has the full digest.
        # Complete: MLflow declares `profile` abstract but does not need it here.
        named = MetaDataset(source, name=dataset.name, digest=dataset.digest[:36])  # type: ignore[abstract]
        mlflow.log_input(named)
