from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.finished import finished_benchmark, locate_benchmark
from tasks.services import mlflow_session
from tests.ssat.pipeline.results import BENCHMARK


def _settings(folder: Path, **values: object) -> BenchmarkSettings:
    return BenchmarkSettings.build(None, {"mot": str(folder), "split": "train", **values})


def _finish(workspace: Workspace, settings: BenchmarkSettings) -> None:
    located = locate_benchmark(workspace, settings)
    located.folder.mkdir(parents=True)
    BENCHMARK.save(located.result_file)


def test_a_result_is_found_by_data_settings_and_embedder(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    mot = make_sequence(tmp_path)
    Embedder.untrained("resnet18", input_size=32).save(tmp_path / "one.safetensors")
    Embedder.untrained("resnet18", input_size=32, seed=1).save(tmp_path / "two.safetensors")
    settings = _settings(mot, embedder=str(tmp_path / "one.safetensors"))
    assert finished_benchmark(workspace, settings) is None
    _finish(workspace, settings)
    assert finished_benchmark(workspace, settings) == replace(BENCHMARK, reused=True)
    (tmp_path / "renamed.safetensors").write_bytes((tmp_path / "one.safetensors").read_bytes())
    assert finished_benchmark(workspace, _settings(mot, embedder=str(tmp_path / "renamed.safetensors"))) is not None
    for other in (
        _settings(mot, embedder=str(tmp_path / "two.safetensors")),
        _settings(mot, embedder=f"colour+{tmp_path / 'one.safetensors'}"),
        _settings(mot, embedder="colour"),
        _settings(mot, tracker="box"),
        settings.model_copy(update={"min_score": 0.5}),
    ):
        assert finished_benchmark(workspace, other) is None


def test_the_stored_calibration_of_the_file_belongs_to_the_key(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    mot, path = make_sequence(tmp_path), tmp_path / "embedder.safetensors"
    embedder = Embedder.untrained("resnet18", input_size=32)
    embedder.save(path)
    settings = _settings(mot, embedder=str(path), association={"calibrate": True})
    before = locate_benchmark(workspace, settings)
    embedder.facts["calibration"] = {"same_frame_median": 0.25, "pairs": 40}
    embedder.save(path)
    after = locate_benchmark(workspace, settings)
    assert (before.settings.association.stored_median, after.settings.association.stored_median) == (None, 0.25)
    assert before.embedder_digest == after.embedder_digest
    assert before.folder != after.folder


def test_a_run_is_looked_up_in_mlflow(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mot, path = make_sequence(tmp_path), tmp_path / "embedder.safetensors"
    Embedder.untrained("resnet18", input_size=32).save(path)
    with mlflow_session(workspace):
        experiment = mlflow.create_experiment("training", str(tmp_path / "artifacts"))
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_artifact(str(path), "embedder")
    _finish(workspace, _settings(mot, embedder=str(path)))
    assert finished_benchmark(workspace, _settings(mot, embedder=run.info.run_id)) == replace(BENCHMARK, reused=True)
    with pytest.raises(InputError, match=r"Run with id=0{32} not found"):
        finished_benchmark(workspace, _settings(mot, embedder="0" * 32))


def test_faults_are_found_on_the_way(make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path) -> None:
    mot = make_sequence(tmp_path)
    _finish(workspace, _settings(mot, embedder="colour"))
    with pytest.raises(InputError, match=r"no checkpoint for the refinement"):
        finished_benchmark(workspace, _settings(mot, embedder="colour", refine="frozen"))
