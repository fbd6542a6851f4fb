import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, flat_settings, mlflow_run
from tasks.services import mlflow_session


class _Inner(BaseModel):
    margin: float = 0.35


class _Settings(BaseModel):
    epochs: int = 2
    inner: _Inner = _Inner()
    source: str = "https://me:s3cret@host/list.csv?key=s3cret"
    proxy: SecretStr = SecretStr("s3cret")
    api_token: str = "s3cret"  # noqa: S105


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Iterator[Workspace]:
    """A workspace with its MLflow database: making one takes seconds."""
    patch = pytest.MonkeyPatch()
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    workspace = Workspace.open(tmp_path_factory.mktemp("tracked"))
    with mlflow_session(workspace):
        yield workspace
    patch.undo()


def _client():
    from mlflow import MlflowClient

    return MlflowClient()


def test_settings_become_parameters_without_secrets():
    flat = flat_settings(_Settings())
    assert flat["epochs"] == "2"
    assert flat["inner.margin"] == "0.35"
    assert flat["source"] == "https://host/list.csv?…"
    assert "s3cret" not in json.dumps(flat)


def test_a_run_records_what_it_was_given_and_what_it_ran_on(tracked):
    dataset = Dataset("frames", "ab" * 32, str(tracked.root))
    with mlflow_run(tracked, "facts", "first", _Settings(), {"seed": "7"}, dataset) as reporter:
        time.sleep(1.0)  # a few samples of the system metrics
    run = _client().get_run(reporter.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["inner.margin"] == "0.35"
    assert run.data.params["dataset.digest"] == "ab" * 32
    assert run.inputs.dataset_inputs[0].dataset.name == "frames"
    assert run.data.tags["seed"] == "7"
    assert run.data.tags["version.torch"].startswith("2.")
    assert int(run.data.tags["hardware.cpus"]) >= 1
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    if (Path(__file__).parents[2] / ".git").exists():
        assert len(run.data.tags["mlflow.source.git.commit"].removesuffix("-dirty")) == 40
    environment = json.loads(_artifact(reporter, "environment.json").read_text())
    assert environment["versions"]["python"].startswith("3.")
    assert Path(_client().get_run(reporter.run_id).info.artifact_uri.removeprefix("file://")).is_relative_to(
        tracked.mlflow / "artifacts"
    )


def _artifact(reporter: MlflowReporter, name: str) -> Path:
    return Path(_client().download_artifacts(reporter.run_id, name))


def test_scalars_tables_and_files_arrive(tracked, tmp_path):
    picture = tmp_path / "curve.txt"
    picture.write_text("a picture")
    with mlflow_run(tracked, "reports", "r", system_metrics=False) as reporter:
        for step in range(2500):
            reporter.scalars({"loss": 1.0 / (step + 1), "rate": 0.1}, step)
        reporter.table("scores", [{"sequence": "A", "idf1": 0.5}, {"sequence": "B,", "idf1": 0.25}])
        reporter.file(picture, "pictures")
    history = _client().get_metric_history(reporter.run_id, "loss")
    assert sorted(metric.step for metric in history) == list(range(2500))
    assert {metric.step: metric.value for metric in history}[4] == pytest.approx(0.2)
    with _artifact(reporter, "tables/scores.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"sequence": "A", "idf1": "0.5"}, {"sequence": "B,", "idf1": "0.25"}]
    assert json.loads(_artifact(reporter, "tables/scores.json").read_text())[1] == {"sequence": "B,", "idf1": 0.25}
    assert _artifact(reporter, "pictures/curve.txt").read_text() == "a picture"


def test_failures_and_interrupts_show_in_the_status(tracked):
    seen = []

    def fail_with(error: type[BaseException]) -> None:
        with mlflow_run(tracked, "ends", "r", system_metrics=False) as reporter:
            seen.append(reporter.run_id)
            reporter.scalars({"x": 1.0}, 0)
            raise error

    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")):
        with pytest.raises(error):
            fail_with(error)
        run = _client().get_run(seen[-1])
        assert run.info.status == status
        assert run.data.metrics == {"x": 1.0}


def test_a_run_inside_a_run_is_its_child(tracked):
    with (
        mlflow_run(tracked, "family", "parent", system_metrics=False) as parent,
        mlflow_run(tracked, "family", "child", system_metrics=False) as child,
    ):
        pass
    assert _client().get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert _client().get_run(parent.run_id).info.status == "FINISHED"


def test_an_experiment_that_was_deleted_is_used_again(tracked):
    with mlflow_run(tracked, "deleted", "first", system_metrics=False) as first:
        pass
    experiment = _client().get_run(first.run_id).info.experiment_id
    _client().delete_experiment(experiment)
    with mlflow_run(tracked, "deleted", "second", system_metrics=False) as second:
        pass
    assert _client().get_run(second.run_id).info.experiment_id == experiment


def test_another_process_reports_to_the_same_run(tracked):
    script = (
        "import sys\n"
        "from tasks.mlflow_reporter import MlflowReporter\n"
        "reporter = MlflowReporter(sys.argv[1], sys.argv[2])\n"
        "reporter.scalars({'accuracy': 0.75}, 3)\n"
        "reporter.close()\n"
    )
    with mlflow_run(tracked, "attached", "r", system_metrics=False) as reporter:
        command = [sys.executable, "-c", script, reporter.tracking_uri, reporter.run_id]
        subprocess.run(command, check=True, timeout=300)
        reporter.scalars({"loss": 0.5}, 3)
    assert _client().get_run(reporter.run_id).data.metrics == {"accuracy": 0.75, "loss": 0.5}


def test_a_server_that_is_not_there_at_the_start_is_an_error(workspace, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(ServiceError, match=r"MLFLOW_TRACKING_URI=http://127\.0\.0\.1:9"),
        mlflow_run(workspace, "e", "r"),
    ):
        pytest.fail("entered without a server")


def test_runs_of_two_workspaces_do_not_mix(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("one", "two"):
        workspace = Workspace.open(tmp_path / name)
        with mlflow_run(workspace, "e", name, system_metrics=False) as reporter:
            assert reporter.tracking_uri == f"sqlite:///{workspace.mlflow / 'mlflow.db'}"
        assert "MLFLOW_TRACKING_URI" not in os.environ
