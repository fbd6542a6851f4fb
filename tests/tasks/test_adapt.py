"""`ssat adapt` on real MLflow: what is better on the held-out part is registered with its parent, the rest dropped."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch
from click.testing import CliRunner, Result

from flows.cli.stage_command import stage_command
from flows.stage import stage_named
from ssat.embedding.embedder import Embedder
from ssat.embedding.histogram import HistogramNetwork
from ssat.errors import InputError
from ssat.workspace import Workspace
from tasks.embedders import latest_of_its_own, resolve_embedder
from tasks.services import mlflow_tracking_uri


def _run(workspace: Workspace, footage: Path, *options: object) -> Result:
    arguments = [str(footage), "--workspace", str(workspace.root), "--views", 100, "--json", *options]
    return CliRunner().invoke(stage_command(stage_named("adapt")), [str(argument) for argument in arguments])


@pytest.fixture
def footage(make_sequence: Callable[..., Path], tmp_path: Path) -> Path:
    for number in range(3):
        shutil.rmtree(make_sequence(tmp_path / "footage", f"WALK-0{number}", n_frames=48, pace=1) / "gt")
    return tmp_path / "footage"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Colours of which none was learned: every pixel belongs to every cell alike."""
    network = HistogramNetwork().eval()
    torch.nn.init.zeros_(network.cells.weight)
    Embedder(network, 64, {}).save(tmp_path / "parent.safetensors")
    return tmp_path / "parent.safetensors"


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_what_is_better_is_registered_with_its_parent_and_what_is_not_is_dropped(
    footage: Path, parent: Path, workspace: Workspace
) -> None:
    outcome = _run(workspace, footage, "--embedder", parent)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert answer["accepted"]
    assert 9 <= answer["tracklets"] <= 12
    assert answer["probe"]["after"]["auc"] > 0.8 > answer["probe"]["before"]["auc"]
    assert answer["probe"]["gain"]["low"] > 0
    assert "probe AUC after" in outcome.stderr
    embedder = Embedder.load(workspace.root / answer["embedder"])
    assert (embedder.input_size, embedder.facts["parent"]) == (128, Embedder.load(parent).digest)
    assert resolve_embedder(None, workspace).digest == embedder.digest
    client = mlflow.MlflowClient(mlflow_tracking_uri(workspace))
    version = client.get_model_version("ssat-embedder", answer["model_version"])
    assert version.tags["embedder_digest"] == embedder.digest
    assert (version.tags["parent_digest"], version.tags["parent_version"]) == (answer["parent"], "none")
    run = client.get_run(answer["mlflow_run_id"]).data
    assert run.metrics["kept_probe_auc"] == pytest.approx(answer["probe"]["after"]["auc"])

    # Done once; an adaptation is not adapted again unless it is named.
    again = json.loads(_run(workspace, footage, "--embedder", parent).stdout.splitlines()[-1])
    assert again == {**answer, "reused": True}
    assert latest_of_its_own(workspace) is None

    # The same learned again from what it gave is no better: nothing is registered, its parent is known by its version.
    outcome = _run(workspace, footage, "--embedder", workspace.root / answer["embedder"])
    second = json.loads(outcome.stdout.splitlines()[-1])
    assert (second["accepted"], second["model_version"], second["embedder"]) == (False, None, None)
    assert second["parent_version"] == answer["model_version"]
    assert second["probe"]["gain"]["gain"] == 0
    assert "not accepted" in outcome.stderr
    assert len(list(workspace.training.glob("*/result.json"))) == 1
    assert len(client.search_model_versions("name = 'ssat-embedder'")) == 1


def test_footage_that_cannot_be_used_is_reported_before_anything_starts(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    short = make_sequence(tmp_path, n_frames=18)
    outcome = _run(workspace, short)
    assert isinstance(outcome.exception, InputError)
    assert "too little to probe" in str(outcome.exception)
    assert not workspace.mlflow.exists()
