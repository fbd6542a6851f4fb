"""A training that learns colours as well: what it keeps, what it records, and what it says where it cannot compare."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from flows.stage_flow import run_stage
from flows.stages.train import STAGE as TRAIN
from ssat.embedding.embedder import Embedder
from ssat.embedding.settings import TrainSettings
from ssat.workspace import Workspace
from tasks.embedders import resolve_embedder
from tasks.feature_choice import compare_with_colours
from tasks.services import mlflow_tracking_uri
from tasks.trained import FeatureChoice, finished_training
from tests.tasks.test_instances import decoded
from tests.tasks.walking_clips import collected, write_walking_clip

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server", "ray_cluster")]

SETTINGS = TrainSettings.build(
    None,
    {
        "architecture": "resnet18",
        "crop": 32,
        "short_side": 36,
        "held_out_clips": 2,
        "batch_size": 8,
        "epochs": 1,
        "evaluate_every": 1,
        "workers": 1,
        "device": "cpu",
        "colours": True,
    },
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"clip{number}.mp4" for number in range(7)]
    for number, path in enumerate(paths):
        write_walking_clip(path, number)
    return paths


def test_colours_take_the_place_of_a_network_that_ranks_worse(clips: list[Path], workspace: Workspace) -> None:
    decoded(workspace, collected(workspace, clips))
    result = run_stage(TRAIN, str(workspace.root), SETTINGS)
    choice = result.choice
    # Six steps teach a network nothing; figure and ground of each clip have colours of their own.
    assert choice.kept == "colours"
    assert choice.network_auc is not None
    assert choice.colours_auc is not None
    assert 0.4 < choice.network_auc < choice.colours_auc <= 1
    assert choice.patches >= 32
    assert choice.pairs >= 2
    file = workspace.absolute(result.embedder)
    embedder, network = Embedder.load(file), Embedder.load(file.parent / "trained-network.safetensors")
    assert (embedder.network.architecture, embedder.input_size) == ("histogram", 128)
    assert (network.network.architecture, network.input_size) == ("resnet18", 32)
    assert network.facts["held_out"] != embedder.facts["held_out"] == result.held_out
    assert resolve_embedder(None, workspace).digest == embedder.digest
    client = mlflow.MlflowClient(mlflow_tracking_uri(workspace))
    recorded = client.get_run(result.mlflow_run_id).data
    assert recorded.metrics["patches_auc_colours"] == pytest.approx(choice.colours_auc)
    assert recorded.metrics["patches_auc_network"] == pytest.approx(choice.network_auc)
    assert client.get_model_version("ssat-embedder", result.model_version).tags["embedder_digest"] == embedder.digest
    assert finished_training(workspace, SETTINGS) == replace(result, reused=True)

    # Without the setting the network is the embedder, and nothing is compared.
    alone = run_stage(TRAIN, str(workspace.root), SETTINGS.model_copy(update={"colours": False}))
    assert alone.choice == FeatureChoice()
    assert Embedder.load(workspace.absolute(alone.embedder)).digest == network.digest


def test_clips_that_have_changed_since_they_were_decoded_are_not_learned_from(
    clips: list[Path], workspace: Workspace
) -> None:
    store = decoded(workspace, collected(workspace, clips[:4]))
    collected(workspace, [*clips[:3], clips[6]])
    choice, colours = compare_with_colours(workspace, SETTINGS, store, Embedder.untrained(input_size=32))
    assert colours is None
    assert choice.kept == "network"
    assert "1 of 4 clips of the frame store are missing or have changed since" in choice.note


def test_where_nothing_can_be_compared_the_network_is_kept_and_it_is_said(
    clips: list[Path], workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    decoded(workspace, collected(workspace, clips[:4]))
    for path in (workspace.clips / "trimmed").iterdir():
        path.unlink()
    result = run_stage(TRAIN, str(workspace.root), SETTINGS)
    assert result.choice.kept == "network"
    assert "0 patches could be followed in the 2 training clips, expected 32" in result.choice.note
    assert result.choice.note in caplog.text
    assert Embedder.load(workspace.absolute(result.embedder)).network.architecture == "resnet18"
