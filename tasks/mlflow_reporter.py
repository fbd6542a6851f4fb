"""Send the reports of a stage to an MLflow run; keep and send them later if the server does not answer."""

from __future__ import annotations

import csv
import io
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ssat.redaction import without_credentials
from ssat.workspace import committed
from tasks.addresses import exempt_loopback
from tasks.progress import show_progress

_LOG = logging.getLogger(__name__)
_BATCH = 1000  # metrics that MLflow takes in one call
_SEND_EVERY_S = 5.0
_RETRY_AFTER_S = 30.0
_KEPT_METRICS = 200_000

# One report that is no number: {"text": content, "name": artifact}, {"file": path, "folder": artifact folder},
# {"tag": key, "value": value} or {"status": end of the run}. Plain data, so that it can be kept in a file.
_Report = dict[str, str]


class MlflowReporter:
    """An `ssat.reporter.Reporter` that writes to one MLflow run.

    Scalars are sent in batches by a thread of its own. When the tracking server does not answer, what was reported is
    kept, sent again later, and a warning says so once; the work continues. What could not be sent by the end is
    written to `kept_in`, where given, for `send_kept`.
    """

    def __init__(self, tracking_uri: str, run_id: str, kept_in: Path | None = None) -> None:
        from mlflow import MlflowClient

        exempt_loopback(tracking_uri)  # a worker of a Ray cluster has an environment of its own
        self.tracking_uri = tracking_uri
        self.run_id = run_id
        self._client = MlflowClient(tracking_uri)
        self._kept_in = kept_in
        self._metrics: deque[Any] = deque(maxlen=_KEPT_METRICS)
        self._reports: deque[_Report] = deque()
        self._lock = threading.Lock()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="mlflow-reporter")
        self._sending: Future[None] | None = None
        self._next_send = 0.0
        self._warned = False

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._lock:
            self._metrics.extend(Metric(key, float(value), now, step) for key, value in values.items())
        self._send_soon()

    def model_scalars(self, values: Mapping[str, float], model_id: str, dataset: str, digest: str) -> None:
        """Report numbers of a logged model on a data set: MLflow's page of models compares models by them.

        Args:
            values: name → number.
            model_id: of the logged model, m-….
            dataset: its name, for people.
            digest: of its content; MLflow keeps 36 characters.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with self._lock:
            self._metrics.extend(
                Metric(key, float(value), now, 0, model_id, dataset, digest[:36], self.run_id)
                for key, value in values.items()
            )
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
        """Log a text artifact called `name` (with its folder)."""
        self._report({"text": content, "name": name})

    def file(self, path: Path, folder: str = "") -> None:
        self._report({"file": str(path.absolute()), "folder": folder})

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        show_progress(done, total, what, note)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        self._report({"tag": key, "value": value})

    def status(self, status: str) -> None:
        """Set the final status of the run, if MLflow's own call failed."""
        self._report({"status": status})

    def flush(self) -> None:
        """Send everything that waits, now. Never raises: see the class."""
        self._sender.submit(self._send).result()

    def close(self) -> None:
        """Send what waits; what cannot be sent is kept in a file and named in a warning."""
        self.flush()
        self._sender.shutdown()
        with self._lock:
            metrics, reports = list(self._metrics), list(self._reports)
        if not metrics and not reports:
            return
        kept = ""
        if self._kept_in is not None:
            file = _keep(self._kept_in, self.run_id, metrics, reports)
            kept = f"; they are kept in {file} and sent with the next run of this workspace"
        _LOG.warning(
            "MLflow %s: %d numbers and %d files of run %s could not be sent%s",
            without_credentials(self.tracking_uri),
            len(metrics),
            len(reports),
            self.run_id,
            kept,
        )

    def _report(self, report: _Report) -> None:
        with self._lock:
            self._reports.append(report)
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
            while self._reports:
                _send_report(self._client, self.run_id, self._reports[0])
                self._reports.popleft()
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


def send_kept(tracking_uri: str, folder: Path) -> None:
    """Send what reporters left in `folder` because the tracking server did not answer. Never raises.

    A file whose run this server does not know, or that is not whole, stays where it is and is named in a warning.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri)
    for file in sorted(folder.glob("unsent-*.jsonl")):
        run_id = file.stem.removeprefix("unsent-").split("-")[0]
        try:
            client.get_run(run_id)
            metrics, reports = _kept(file)
            for start in range(0, len(metrics), _BATCH):
                batch = [Metric(**metric) for metric in metrics[start : start + _BATCH]]
                client.log_batch(run_id, metrics=batch, synchronous=True)
            for report in reports:
                _send_report(client, run_id, report)
            file.unlink()
        except Exception as error:  # noqa: BLE001 - an old report must not stop new work
            _LOG.warning(
                "MLflow %s: %s stays unsent (%s)", without_credentials(tracking_uri), file, type(error).__name__
            )


def _send_report(client: Any, run_id: str, report: _Report) -> None:
    if "text" in report:
        client.log_text(run_id, report["text"], report["name"])
    elif "file" in report:
        client.log_artifact(run_id, report["file"], report["folder"] or None)
    elif "tag" in report:
        client.set_tag(run_id, report["tag"], report["value"])
    else:
        client.set_terminated(run_id, report["status"])


def _keep(folder: Path, run_id: str, metrics: Sequence[Any], reports: Sequence[_Report]) -> Path:
    """Write a line of JSON for each; beside another file of the same run, which another process left."""
    number = sum(1 for _ in folder.glob(f"unsent-{run_id}*.jsonl"))
    file = folder / f"unsent-{run_id}{f'-{number}' if number else ''}.jsonl"
    with committed(file) as temporary:
        lines = [*({"metric": dict(metric)} for metric in metrics), *reports]
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def _kept(file: Path) -> tuple[list[dict[str, Any]], list[_Report]]:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [line["metric"] for line in lines if "metric" in line], [line for line in lines if "metric" not in line]
