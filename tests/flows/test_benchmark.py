"""The benchmark flow on a real Prefect server and a real MLflow store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.json_values import json_values
from ssat.mot.rows import read_results
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.services import services

pytestmark = pytest.mark.integration


def _settings(folder: Path, **values: object) -> BenchmarkSettings:
    return BenchmarkSettings.build(None, {"mot": str(folder), "split": "train", "embedder": "untrained", **values})


def test_a_benchmark_is_tracked_scored_recorded_and_not_done_twice(
    make_sequence: Callable[..., Path], workspace: Workspace, prefect_server: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    from flows.stage_flow import run_stage
    from flows.stages.benchmark import STAGE as BENCHMARK
    from tasks.services import mlflow_tracking_uri

    mot = tmp_path / "MOT"
    make_sequence(mot, "WALK-01")
    make_sequence(mot, "WALK-02", n_frames=6)
    embedder = tmp_path / "embedder.safetensors"
    Embedder.untrained("resnet18", input_size=32).save(embedder)
    settings = _settings(mot, embedder=str(embedder))
    with services(workspace, mlflow=True):
        result = run_stage(BENCHMARK, str(workspace.root), settings)
        # Three figures 12 (and 6) frames long, one detection missed and one false alarm in each sequence.
        one, overall = result.sequences["WALK-01"].as_json(), result.overall.as_json()
        assert (one["fn"], one["fp"], one["idsw"], one["gt_dets"]) == (1, 1, 0, 36)
        assert one["mota"] == pytest.approx(1 - 2 / 36)
        assert (overall["fn"], overall["fp"], overall["gt_dets"], overall["gt_ids"]) == (2, 2, 54, 6)
        assert overall["fps"] > 0
        # Walkers who never meet: boxes alone reach the ceiling of these detections.
        assert one["ceiling_idf1"] == one["box_idf1"] == pytest.approx(2 * 35 / (36 + 36))
        assert (one["closed_share"], one["ceiling_mota"]) == (None, pytest.approx(1 - 2 / 36))
        assert set(overall["fps_by_stage"]) == {"read", "patches", "embed", "associate"}

        folder = workspace.absolute(result.folder)
        rows = read_results(folder / "WALK-01.txt")
        assert len(rows) == 36
        with av.open(str(folder / "WALK-02.mp4")) as container:
            assert sum(1 for _ in container.decode(video=0)) == 6
        page = workspace.absolute(result.report).read_text()
        assert "WALK-01.mp4" in page
        assert "protocol centertrack-half" in page.lower()
        assert "Ceiling of association" in page

        client = MlflowClient(mlflow_tracking_uri(workspace))
        run = client.get_run(result.mlflow_run_id)
        assert run.info.status == "FINISHED"
        assert run.data.metrics["idf1"] == pytest.approx(overall["idf1"])
        assert run.data.metrics["WALK-02/fn"] == 1
        assert run.data.metrics["WALK-01/ceiling_idf1"] == pytest.approx(one["ceiling_idf1"])
        assert run.data.params["association.tau1"] == "0.56"
        logged = {
            item.path
            for top in client.list_artifacts(run.info.run_id)
            for item in ([top] if not top.is_dir else client.list_artifacts(run.info.run_id, top.path))
        }
        assert {"report.html", "results/WALK-01.txt", "videos/WALK-02.mp4", "tables/scores.csv"} <= logged

        again = run_stage(BENCHMARK, str(workspace.root), settings)
        assert again == replace(result, reused=True)
        assert _by_command(workspace, mot, embedder) == json_values(again)
        # Another threshold: another benchmark, on the same features.
        features = {path: path.stat().st_mtime_ns for path in workspace.cache.rglob("*.safetensors")}
        assert len(features) == 2
        other = run_stage(
            BENCHMARK, str(workspace.root), _settings(mot, embedder=str(embedder), association={"tau1": 0.5})
        )
        assert other.folder != result.folder
        assert {path: path.stat().st_mtime_ns for path in workspace.cache.rglob("*.safetensors")} == features
        assert other.sequences["WALK-01"].speed.fps_by_stage["embed"] == one["fps_by_stage"]["embed"]

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with services(workspace), get_client(sync_client=True) as prefect:
        artifacts = prefect.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["benchmark"])))
    # The server is shared with other tests, which leave tables of their own sequences.
    assert any("WALK-01" in str(artifact.data) for artifact in artifacts)


def _by_command(workspace: Workspace, mot: Path, embedder: Path) -> dict[str, Any]:
    """The result of the same benchmark by its command, to which no service answers."""
    code = (
        "import sys; from flows.cli import run; code = run(sys.argv[1:]); "
        "print(*{'prefect', 'mlflow', 'ray', 'torch'} & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    command = ["benchmark", "--workspace", str(workspace.root), "--mot", str(mot), "--split", "train", "--json"]
    nowhere = "http://127.0.0.1:9"
    told = subprocess.run(
        [sys.executable, "-c", code, *command, "--preset", "paper", "--embedder", str(embedder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PREFECT_API_URL": f"{nowhere}/api", "MLFLOW_TRACKING_URI": nowhere},
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "(done before)" in told.stderr
    assert told.stderr.splitlines()[-1] == "", "nothing of Prefect, MLflow, Ray or torch was imported"
    return json.loads(told.stdout)


def test_a_broken_frame_stops_the_benchmark_and_names_it(
    make_sequence: Callable[..., Path], workspace: Workspace, prefect_server: str, tmp_path: Path
) -> None:
    from flows.stage_flow import run_stage
    from flows.stages.benchmark import STAGE as BENCHMARK

    frame = make_sequence(tmp_path, "WALK-01") / "img1" / "000005.jpg"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:2000])
    with services(workspace, mlflow=True):
        with pytest.raises(InputError, match=r"000005.jpg: broken JPEG"):
            run_stage(BENCHMARK, str(workspace.root), _settings(tmp_path, tracker="box"))
        assert not list(workspace.benchmark.rglob("benchmark.json"))
        assert not list(workspace.benchmark.rglob("*.mp4"))
        frame.write_bytes(whole)
        assert not run_stage(BENCHMARK, str(workspace.root), _settings(tmp_path, tracker="box")).reused
