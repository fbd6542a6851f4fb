"""The whole pipeline by its command on generated input, with real yt-dlp, Ray, Prefect and MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ssat.demo.server import serve
from ssat.demo.settings import DemoSettings
from ssat.demo.world import SEQUENCES, clip_id, write_clips, write_sequences
from ssat.workspace import Workspace

# A minute or two of work; the limit is for a machine that has other things to do.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

_WORLD = DemoSettings(clips=24, clip_seconds=3.0, frames=24, figures=4)
_RENDERED = range(8)  # of 24 on the list: the others are 404s that must not stop them


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_clips(folder / "clips", _WORLD, only=_RENDERED)
    (folder / "clips" / f"{clip_id(_WORLD, 23)}.mp4").write_bytes(b"this is no video")
    write_sequences(folder / "mot", _WORLD)
    return folder


def _run(world: Path, workspace: Path, address: str, *more: str) -> tuple[dict, str]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "run", "--json"]
    command += ["--workspace", str(workspace), "--source", str(world / "clips" / "clips.csv")]
    command += ["--url-template", address + "/{clip_id}.mp4", "--collect-clips", "8", "--clip-seconds", "3"]
    command += ["--frame-stride", "10", "--decode-short-side", "64", "--held-out-clips", "2"]
    command += ["--crop", "32", "--train-short-side", "40", "--early-crop", "32", "--frames-per-clip", "4"]
    command += [
        "--batch-size",
        "8",
        "--epochs",
        "2",
        "--train-workers",
        "1",
        "--mot",
        str(world / "mot"),
        "--split",
        "train",
        *more,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1500, env=dict(os.environ))
    assert result.returncode == 0, result.stderr[-4000:]
    lines = result.stdout.splitlines()
    assert len(lines) == 1, "standard output carries the result alone"
    return json.loads(lines[0]), result.stderr


@pytest.fixture(scope="module")
def finished(world, tmp_path_factory, prefect_server) -> tuple[Workspace, dict, str]:
    """A workspace in which `ssat run` has run once."""
    workspace = tmp_path_factory.mktemp("pipeline")
    with serve(world / "clips") as address:
        result, errors = _run(world, workspace, address)
    return Workspace.open(workspace), result, errors


def test_clips_become_scores(finished):
    workspace, result, errors = finished
    assert result["collect"]["ranks"] == len(_RENDERED)
    assert pq.read_table(workspace.clips / "roster.parquet").num_rows == len(_RENDERED)
    assert result["decode"]["clips"] == len(_RENDERED)
    assert result["decode"]["failed"] == 0
    assert result["train"]["classes"] == len(_RENDERED) - 2
    assert 0 <= result["train"]["held_out"]["recall_at_1"] <= 1
    assert workspace.absolute(result["train"]["embedder"]).is_file()
    assert set(result["sequences"]) == set(SEQUENCES)
    for scores in (*result["sequences"].values(), result["overall"]):
        assert {"mota", "idf1", "mt", "ml", "fp", "fn", "idsw", "fps"} <= set(scores)
        assert 0 < scores["idf1"] <= 1
    assert sum(scores["fn"] for scores in result["sequences"].values()) == result["overall"]["fn"]
    assert list(result["minutes"]) == ["collect", "decode", "train", "benchmark"]
    assert "Traceback" not in errors
    assert "minutes" in errors  # the summary table


def test_what_cannot_be_had_is_counted_and_stops_nothing(finished):
    _, result, _ = finished
    by_class = result["collect"]["by_class"]
    assert by_class["ok"] == len(_RENDERED)
    assert set(by_class) <= {"ok", "GONE", "MEDIA", "waiting"}


def test_mlflow_has_the_training_the_benchmark_and_the_model(finished):
    from mlflow import MlflowClient

    workspace, result, _ = finished
    client = MlflowClient(f"sqlite:///{workspace.mlflow / 'mlflow.db'}")
    training = client.get_run(result["train"]["mlflow_run_id"])
    assert training.info.status == "FINISHED"
    assert training.data.params["epochs"] == "2"
    assert training.data.params["dataset.digest"] == result["decode"]["digest"]
    assert len(client.get_metric_history(training.info.run_id, "loss")) == 2
    benchmark = client.get_run(result["benchmark"]["mlflow_run_id"])
    assert benchmark.info.status == "FINISHED"
    versions = client.search_model_versions("name='ssat-embedder'")
    assert [version.run_id for version in versions] == [training.info.run_id]
    # The benchmark scored this version: its logged model has the scores, for MLflow's comparison of models.
    model = client.get_logged_model(versions[0].source.removeprefix("models:/"))
    scores = {metric.key: metric for metric in model.metrics if metric.dataset_name}
    assert scores["idf1"].value == pytest.approx(benchmark.data.metrics["idf1"])
    assert scores["idf1"].run_id == benchmark.info.run_id
    assert benchmark.data.params["dataset.digest"].startswith(scores["idf1"].dataset_digest)


def test_prefect_has_each_stage_as_a_flow_of_its_own(finished):
    from prefect.client.orchestration import get_client

    here = str(finished[0].root)  # other tests share the server
    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.parameters.get("workspace") == here]
        names = {client.read_flow(run.flow_id).name: run for run in runs}
    assert {"run", "collect", "decode", "train", "benchmark"} <= set(names)
    assert all(names[name].state_type.value == "COMPLETED" for name in ("run", "collect", "decode", "train"))


def test_run_again_no_service_is_started_or_asked_and_nothing_is_done(finished, world, monkeypatch):
    workspace, first, _ = finished
    shards = {path: path.stat().st_mtime_ns for path in workspace.frames.glob("shard-*.parquet")}
    assert shards
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/api")
    # Nobody serves the clips any more: a second download would fail.
    again, errors = _run(world, workspace.root, "http://127.0.0.1:9")
    assert set(again) == set(first)
    assert again["collect"]["ranks"] == first["collect"]["ranks"]
    assert again["collect"]["collected"] == 0
    assert again["decode"]["written_shards"] == 0
    assert again["decode"]["digest"] == first["decode"]["digest"]
    assert again["train"]["reused"] is True
    assert set(again["train"]) == set(first["train"])
    assert again["train"]["mlflow_run_id"] == first["train"]["mlflow_run_id"]
    assert again["benchmark"]["reused"] is True
    assert again["overall"] == first["overall"]
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    assert errors.count("(done before)") == 2
