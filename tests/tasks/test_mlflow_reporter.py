"""Reports to a tracking server that refuses, comes back, or only comes back when the run is over."""

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ssat.workspace import Workspace
from tasks.mlflow_reporter import MlflowReporter, send_kept
from tasks.mlflow_run import mlflow_run
from tasks.services import mlflow_session

RUN = "r" * 32


class _Unwilling(BaseHTTPRequestHandler):
    """A tracking server that answers every call with an error until it is told to stop refusing."""

    refuse = True
    taken: list[dict] = []  # noqa: RUF012

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(503 if self.refuse else 200)
        self.end_headers()
        if not self.refuse:
            self.taken.append(body)
            self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def unwilling(monkeypatch) -> Iterator[str]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    _Unwilling.refuse, _Unwilling.taken = True, []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unwilling) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_that_comes_back_gets_what_was_kept(unwilling, caplog):
    reporter = MlflowReporter(unwilling, RUN)
    with caplog.at_level(logging.WARNING):
        reporter.scalars({"loss": 2.0}, 0)
        reporter.flush()
        reporter.scalars({"loss": 1.0}, 1)
        reporter.flush()
    assert len([r for r in caplog.records if "does not take reports" in r.message]) == 1  # said once, not each time
    _Unwilling.refuse = False
    reporter.close()
    sent = [(metric["step"], metric["value"]) for body in _Unwilling.taken for metric in body["metrics"]]
    assert sent == [(0, 2.0), (1, 1.0)]


def test_a_server_that_stays_away_does_not_stop_the_work_and_the_numbers_are_kept(unwilling, tmp_path, caplog):
    reporter = MlflowReporter(unwilling, RUN, kept_in=tmp_path / "kept")
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            reporter.scalars({"loss": float(step)}, step)
        reporter.close()
    kept = [json.loads(line) for line in (tmp_path / "kept" / f"unsent-{RUN}.jsonl").read_text().splitlines()]
    assert [(line["metric"]["value"], line["metric"]["step"]) for line in kept] == [(0.0, 0), (1.0, 1), (2.0, 2)]
    assert "3 numbers" in caplog.text
    assert "sent with the next run" in caplog.text


def test_what_was_kept_is_sent_by_the_next_run_of_the_workspace(
    unwilling, workspace: Workspace, tmp_path: Path, monkeypatch, caplog
) -> None:
    from mlflow import MlflowClient

    picture = tmp_path / "curves.txt"
    picture.write_text("a picture")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with mlflow_session(workspace):
        with mlflow_run(workspace, "e", "first", system_metrics=False) as first:
            pass
        # Two processes report to that run through a server that has gone; the second also knows how it ended.
        for loss in (2.0, 1.0):
            away = MlflowReporter(unwilling, first.run_id, kept_in=workspace.mlflow)
            away.scalars({"loss": loss}, int(loss))
            if loss == 1.0:
                away.file(picture, "pictures")
                away.table("history", [{"epoch": 1}])
                away.tag("checkpoint", "here")
                away.status("FAILED")
            away.close()
        assert len(list(workspace.mlflow.glob("unsent-*"))) == 2
        with mlflow_run(workspace, "e", "second", system_metrics=False):
            pass
        client = MlflowClient()
        run = client.get_run(first.run_id)
        assert [metric.value for metric in client.get_metric_history(first.run_id, "loss")] == [2.0, 1.0]
        assert (run.data.tags["checkpoint"], run.info.status) == ("here", "FAILED")
        assert Path(client.download_artifacts(first.run_id, "pictures/curves.txt")).read_text() == "a picture"
        assert json.loads(Path(client.download_artifacts(first.run_id, "tables/history.json")).read_text())
    assert not list(workspace.mlflow.glob("unsent-*"))


def test_what_cannot_be_sent_stays(workspace: Workspace, monkeypatch, caplog) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with mlflow_session(workspace) as uri:
        unknown = workspace.mlflow / f"unsent-{RUN}.jsonl"
        unknown.write_text('{"tag": "a", "value": "b"}\n')
        send_kept(uri, workspace.mlflow)
    assert unknown.exists()
    assert "stays unsent" in caplog.text
