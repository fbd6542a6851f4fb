import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from ssat.embedding import Embedder
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.file_names import EMBEDDER_FILE, TRAINING_RESULT
from ssat.workspace import Workspace
from tasks.embedders import embedder_files, register_embedder, resolve_embedder, track_default
from tasks.mlflow_run import mlflow_run


def finished_training(workspace: Workspace, name: str, seed: int, age_s: float) -> Embedder:
    folder = workspace.training / name
    folder.mkdir(parents=True)
    embedder = Embedder.untrained("resnet18", 32, seed)
    embedder.save(folder / EMBEDDER_FILE)
    settings = TrainSettings(architecture="resnet18", crop=32, short_side=36).model_dump(mode="json")
    (folder / TRAINING_RESULT).write_text(json.dumps({"settings": settings}))
    moment = time.time() - age_s
    os.utime(folder / TRAINING_RESULT, (moment, moment))
    return embedder


def test_none_is_the_latest_finished_training(workspace: Workspace) -> None:
    newer = finished_training(workspace, "a", seed=1, age_s=10)
    finished_training(workspace, "b", seed=2, age_s=100)
    (workspace.training / "c").mkdir()  # one that is under way
    assert resolve_embedder(None, workspace).digest == newer.digest


def test_untrained_is_the_network_that_was_trained_before_training(workspace: Workspace) -> None:
    assert resolve_embedder("untrained", workspace).input_size == 112
    finished_training(workspace, "a", seed=5, age_s=0)
    assert resolve_embedder("untrained", workspace).digest == Embedder.untrained("resnet18", 32).digest


def test_a_file_is_loaded(workspace: Workspace, tmp_path: Path) -> None:
    Embedder.untrained("resnet18", 32, 3).save(tmp_path / "mine.safetensors")
    found = resolve_embedder(str(tmp_path / "mine.safetensors"), workspace)
    assert found.digest == Embedder.untrained("resnet18", 32, 3).digest
    (tmp_path / "mine.safetensors").rename(tmp_path / EMBEDDER_FILE)
    assert resolve_embedder(str(tmp_path), workspace).digest == found.digest


def test_a_training_and_the_histogram_with_weights(workspace: Workspace, tmp_path: Path) -> None:
    embedder = finished_training(workspace, "a", seed=1, age_s=0)
    folder = workspace.training / "a"
    both = resolve_embedder(f"0.25*colour+0.75*{folder}", workspace)
    patches = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert both(patches).shape == (3, 1024)
    assert both.digest not in (embedder.digest, resolve_embedder("colour", workspace).digest)
    assert embedder_files(f"0.25*colour+0.75*{folder}", workspace) == [folder / EMBEDDER_FILE]


def test_track_uses_the_histogram_until_something_is_trained(workspace: Workspace) -> None:
    assert track_default(workspace) == "colour"
    finished_training(workspace, "a", seed=1, age_s=0)
    assert track_default(workspace) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [(None, "no finished training; run `ssat train` first"), ("nonsense", "neither a file, nor an MLflow run id")],
)
def test_what_names_nothing_says_what_may_be_named(spec: str | None, message: str, workspace: Workspace) -> None:
    with pytest.raises(InputError, match=message):
        resolve_embedder(spec, workspace)


@pytest.mark.integration
def test_registered_embedder_is_found_by_run_and_by_version_and_served(workspace: Workspace, tmp_path: Path) -> None:
    import mlflow

    embedder = Embedder.untrained("resnet18", 32, 4)
    embedder.save(tmp_path / EMBEDDER_FILE)
    patches = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with mlflow_run(workspace, "test", "register", system_metrics=False) as reporter:
        version = register_embedder(reporter.run_id, tmp_path / EMBEDDER_FILE, patches, {"recall_at_1": 0.5})
    assert version == "1"
    for spec in (reporter.run_id, "models:/ssat-embedder/1"):
        assert resolve_embedder(spec, workspace).digest == embedder.digest
        assert Embedder.load(spec).digest == embedder.digest  # by the entry point
    registered = mlflow.MlflowClient().get_model_version("ssat-embedder", "1")
    assert registered.run_id == reporter.run_id
    served = mlflow.pyfunc.load_model("models:/ssat-embedder/1").predict(patches)
    assert served == pytest.approx(embedder(patches), abs=1e-5)
    with pytest.raises(InputError, match="models:/ssat-embedder/9: not available"):
        resolve_embedder("models:/ssat-embedder/9", workspace)
