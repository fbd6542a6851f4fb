"""`ssat colours` on real Ray and MLflow: clips with a figure that walks, learned once, used by name."""

import json
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result

from flows.cli.stage_command import stage_command
from flows.stage import stage_named
from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.workspace import Workspace
from tasks.embedders import resolve_embedder, track_default
from tasks.services import mlflow_tracking_uri
from tests.tasks.walking_clips import collected, write_walking_clip

_CLIPS = 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips to learn from, then one that is too short to follow anything in, then a held-out one."""
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"clip{number}.mp4" for number in range(_CLIPS + 2)]
    for number, path in enumerate(paths):
        write_walking_clip(path, number, frames=8 if number == _CLIPS else 45)
    return paths


def _run(workspace: Workspace, *options: object) -> Result:
    command = stage_command(stage_named("colours"))
    return CliRunner().invoke(command, ["--workspace", str(workspace.root), "--json", *map(str, options)])


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server", "ray_cluster")
def test_colours_are_learned_once_and_used_as_a_training_is(clips: list[Path], workspace: Workspace) -> None:
    collected(workspace, clips)
    outcome = _run(workspace, "--held-out-clips", 1)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert (answer["clips"], answer["without_patches"], answer["unreadable"]) == (_CLIPS + 1, 1, 0)
    assert 32 <= answer["patches"] <= 12 * _CLIPS
    assert 0 < answer["moving"] < answer["patches"]
    assert 0.5 < answer["held_out"]["auc"] <= 1
    embedder = Embedder.load(workspace.root / answer["embedder"])
    assert embedder.network.architecture == "histogram"
    assert track_default(workspace) is None
    assert resolve_embedder(None, workspace).digest == embedder.digest
    assert resolve_embedder("untrained", workspace).network.architecture == "resnet18"  # type: ignore[attr-defined]
    client = mlflow.MlflowClient(mlflow_tracking_uri(workspace))
    run = client.get_run(answer["mlflow_run_id"])
    assert run.data.metrics["held_out_auc"] == pytest.approx(answer["held_out"]["auc"])
    assert run.data.params["shrinkage"] == "0.6"
    assert run.inputs.dataset_inputs[0].dataset.digest == answer["data_digest"][:36]
    version = client.get_model_version("ssat-embedder", answer["model_version"])
    assert version.tags["embedder_digest"] == embedder.digest

    again = json.loads(_run(workspace, "--held-out-clips", 1).stdout.splitlines()[-1])
    assert again == {**answer, "reused": True}
    # Other settings of the learning take the patches that are there.
    kept = {path: path.stat().st_mtime_ns for path in (workspace.cache / "patches").rglob("*.npz")}
    assert len(kept) == len(clips)
    other = json.loads(_run(workspace, "--held-out-clips", 1, "--seed", 1).stdout.splitlines()[-1])
    assert (other["patches"], other["reused"]) == (answer["patches"], False)
    assert {path: path.stat().st_mtime_ns for path in (workspace.cache / "patches").rglob("*.npz")} == kept

    # Without held-out clips there is no score, and nothing else is missing.
    outcome = _run(workspace, "--held-out-clips", 0)
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    whole = json.loads(outcome.stdout.splitlines()[-1])
    assert (whole["clips"], whole["held_out"]) == (len(clips), {})
    assert whole["patches"] > answer["patches"]
    assert "not measured" in outcome.stderr


def test_nothing_collected_is_said_before_anything_starts(workspace: Workspace) -> None:
    outcome = _run(workspace)
    assert isinstance(outcome.exception, InputError)
    assert "run `ssat collect` first" in str(outcome.exception)
