"""An MLflow run around a stage: what it was given, what it ran on, what it reported."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ssat.workspace import Workspace
from tasks.addresses import no_answer, without_credentials
from tasks.environment import environment_facts, git_commit
from tasks.progress import show_progress
from tasks.services import MLFLOW_EMBEDDED, mlflow_tracking_uri

_LOG = logging.getLogger(__name__)
_BATCH = 1000  # metrics that MLflow takes in one call
_PARAMS = 100  # parameters that MLflow takes in one call
_PARAM_CHARACTERS = 6000
_SEND_EVERY_S = 5.0
_RETRY_AFTER_S = 30.0
_KEPT_METRICS = 200_000
_SECRET_WORDS = ("password", "secret", "token", "cookie", "credential", "api_key")


@dataclass(frozen=True)
class Dataset:
    """The data that a run has read: a name, its content digest and where it lies."""

    name: str
    digest: str
    location: str


class MlflowReporter:
    """An `ssat.reporter.Reporter` that writes to one MLflow run.

    Scalars are sent in batches by a thread of its own. When the tracking server does not answer, what was reported is
    kept, sent again later, and a warning says so once; the work goes on. What could not be sent by the end is
    written to `kept_in`, where given.
    """

    def __init__(self, tracking_uri: str, run_id: str, kept_in: Path | None = None) -> None:
        from mlflow import MlflowClient

        self.tracking_uri = tracking_uri
        self.run_id = run_id
        self._client = MlflowClient(tracking_uri)
        self._kept_in = kept_in
        self._metrics: deque[Any] = deque(maxlen=_KEPT_METRICS)
        self._uploads: deque[tuple[str, Callable[[], None]]] = deque()
        self._lock = threading.Lock()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="mlflow-reporter")
        self._sending: Future[None] | None = None
        self._next_send = 0.0
        self._warned = False

    @classmethod
    def attach(cls, tracking_uri: str, run_id: str, kept_in: Path | None = None) -> MlflowReporter:
        """A reporter to a run that another process has opened and will end; call `close` when the work is done."""
        return cls(tracking_uri, run_id, kept_in)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._lock:
            self._metrics.extend(Metric(key, float(value), now, step) for key, value in values.items())
        self._send_soon()

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        self.text(text.getvalue(), f"tables/{name}.csv")
        self.text(json.dumps(list(rows), indent=1, default=str), f"tables/{name}.json")

    def text(self, content: str, name: str) -> None:
        """A text artifact called `name` (with its folder)."""
        self._upload(name, lambda: self._client.log_text(self.run_id, content, name))

    def file(self, path: Path, folder: str = "") -> None:
        self._upload(str(path), lambda: self._client.log_artifact(self.run_id, str(path), folder or None))

    def progress(self, done: int, total: int, what: str) -> None:
        show_progress(done, total, what)

    def tag(self, key: str, value: str) -> None:
        """A tag of the run."""
        self._upload(f"tag {key}", lambda: self._client.set_tag(self.run_id, key, value))

    def flush(self) -> None:
        """Sends everything that waits, now. Never raises: see the class."""
        self._sender.submit(self._send).result()

    def close(self) -> None:
        """Sends what waits; what cannot be sent is kept in a file and named in a warning."""
        self.flush()
        self._sender.shutdown()
        with self._lock:
            unsent, missing = list(self._metrics), [what for what, _ in self._uploads]
        if not unsent and not missing:
            return
        kept = ""
        if self._kept_in is not None:
            file = self._kept_in / f"unsent-{self.run_id}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(dict(metric)) + "\n" for metric in unsent), encoding="utf-8")
            kept = f"; the numbers are kept in {file}"
        _LOG.warning(
            "MLflow %s: %d numbers and %d files of run %s could not be sent%s%s",
            without_credentials(self.tracking_uri),
            len(unsent),
            len(missing),
            self.run_id,
            kept,
            f"; not sent: {', '.join(missing[:10])}" if missing else "",
        )

    def _upload(self, what: str, send: Callable[[], None]) -> None:
        with self._lock:
            self._uploads.append((what, send))
        self._next_send = min(self._next_send, time.monotonic() + _SEND_EVERY_S) if self._warned else 0.0
        self._send_soon()

    def _send_soon(self) -> None:
        if time.monotonic() < self._next_send or (self._sending is not None and not self._sending.done()):
            return
        self._next_send = time.monotonic() + _SEND_EVERY_S
        self._sending = self._sender.submit(self._send)

    def _send(self) -> None:
        try:
            while batch := self._first_metrics():
                self._client.log_batch(self.run_id, metrics=batch, synchronous=True)
                with self._lock:
                    for _ in batch:
                        if self._metrics:
                            self._metrics.popleft()
            while self._uploads:
                self._uploads[0][1]()
                self._uploads.popleft()
            self._warned = False
        except Exception as error:  # noqa: BLE001 - whatever the tracking server does, the work must go on
            self._next_send = time.monotonic() + _RETRY_AFTER_S
            if not self._warned:
                self._warned = True
                address = without_credentials(self.tracking_uri)
                _LOG.warning("MLflow %s does not take reports (%s); they are kept", address, type(error).__name__)

    def _first_metrics(self) -> list[Any]:
        with self._lock:
            return [self._metrics[i] for i in range(min(_BATCH, len(self._metrics)))]


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
    parent_run_id: str | None = None,
) -> Iterator[MlflowReporter]:
    """A run of `experiment` that is active inside, so that `mlflow.pytorch.log_model` and the like write to it.

    It records the settings as parameters (nested ones with dots, secrets left out), the git commit, library versions,
    hardware, the data set with its digest, and CPU, memory, disk and GPU use over time. Inside another run, or with
    `parent_run_id`, it is a child of that. It ends as FINISHED, FAILED on an exception, KILLED on an interrupt.

    Raises:
        ServiceError: the tracking server does not answer at the start. Later failures are warnings.
    """
    import mlflow

    uri = mlflow_tracking_uri(workspace)
    named = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)  # sets the variable too, which child processes then inherit
    if uri.startswith("sqlite:"):
        workspace.mlflow.mkdir(parents=True, exist_ok=True)
    try:
        run = mlflow.start_run(
            experiment_id=_experiment(workspace, uri, experiment),
            run_name=run_name,
            nested=mlflow.active_run() is not None or parent_run_id is not None,
            parent_run_id=parent_run_id,
            tags=_tags(tags),
            log_system_metrics=system_metrics,
        )
        _log_inputs(uri, run.info.run_id, settings, dataset)
    except (mlflow.MlflowException, OSError) as error:
        _restore(named)
        raise no_answer("MLflow", "MLFLOW_TRACKING_URI", uri, str(error), MLFLOW_EMBEDDED) from error
    reporter = MlflowReporter(uri, run.info.run_id, kept_in=workspace.mlflow)
    reporter.text(json.dumps(environment_facts(), indent=1), "environment.json")
    status = "FAILED"
    try:
        yield reporter
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        reporter.close()
        _restore(named)
        try:
            mlflow.end_run(status)
        except Exception as error:  # noqa: BLE001 - the work is done; only its end could not be recorded
            _LOG.warning(
                "MLflow %s: the end of run %s was not recorded (%s)",
                without_credentials(uri),
                run.info.run_id,
                type(error).__name__,
            )


def _restore(named: str | None) -> None:
    """Unsets the variable where nobody had set it: the next run may belong to another workspace."""
    if named is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def flat_settings(settings: BaseModel | Mapping[str, Any] | None) -> dict[str, str]:
    """Settings as MLflow parameters: nested names joined by dots, values as text, secrets left out."""
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
    """The id of the experiment called `name`, made where it is missing or brought back where it was deleted."""
    from mlflow import MlflowClient, MlflowException

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        # A server places artifacts itself; beside a database in the workspace they belong into the workspace.
        location = (workspace.mlflow / "artifacts").as_uri() if uri.startswith("sqlite:") else None
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
    result |= {f"version.{name}": version for name, version in facts["versions"].items()}
    result |= {f"hardware.{name}": str(value) for name, value in facts["hardware"].items()}
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
            warnings.simplefilter("ignore")  # several of MLflow's source classes claim a local folder; any will do
            source = resolve_dataset_source(dataset.location)
        # MLflow's own column for a digest holds 36 characters; the whole one is the parameter above.
        mlflow.log_input(MetaDataset(source, name=dataset.name, digest=dataset.digest[:36]))
