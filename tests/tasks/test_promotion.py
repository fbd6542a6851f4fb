"""The registered model's alias moves by the rule, in a real MLflow store."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ssat.embedding.embedder import Embedder
from ssat.embedding.histogram import HistogramNetwork
from ssat.errors import InputError
from ssat.workspace import Workspace
from tasks.embedders import MODEL_NAME
from tasks.mlflow_run import Dataset, mlflow_run
from tasks.promotion import promote, undo_promotion
from tasks.recorded import Recorded
from tasks.services import mlflow_session

pytestmark = pytest.mark.integration
DATA = Dataset("mot", "d" * 64, "/data")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    workspace = Workspace.open(tmp_path_factory.mktemp("promotion"))
    with mlflow_session(workspace):
        yield workspace


def _train(workspace: Workspace, recipe: str, seed: int, **more: str) -> str:
    """What a training leaves: a run with its settings and a registered version with its digest."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    settings = {"recipe": recipe, "seed": seed, "workers": seed + 1, **more}
    with mlflow_run(workspace, "ssat-train", "train", settings, dataset=DATA, system_metrics=False) as reporter:
        pass
    client = MlflowClient()
    with suppress(MlflowException):  # it is there already
        client.create_registered_model(MODEL_NAME)
    digest = {"embedder_digest": f"{recipe}-{seed}"}
    client.create_model_version(MODEL_NAME, f"runs:/{reporter.run_id}/embedder", reporter.run_id, tags=digest)
    return reporter.run_id


def _benchmark(workspace: Workspace, embedder: str, idf1: float, **values: str) -> None:
    chosen = {"split": "val-half", "protocol": "motchallenge", **values}
    settings = {"detections": "public", **chosen, "embedder": embedder}
    tags = {"embedder_digest": embedder, **chosen}
    with mlflow_run(workspace, "ssat-benchmark", "b", settings, tags, DATA, system_metrics=False) as reporter:
        reporter.scalars({"idf1": idf1}, 0)


def test_the_champion_changes_only_beyond_the_spread_and_why_is_written(store: Workspace) -> None:
    with pytest.raises(InputError, match="no version is the champion"):
        undo_promotion.fn(store)
    first = _train(store, "small", 0)
    with pytest.raises(InputError, match=r"has no recorded benchmark.*ssat promote .* --mot"):
        promote.fn(store, first)
    _benchmark(store, "small-0", 0.50)
    tried = promote.fn(store, first, dry_run=True)
    assert (tried.promoted, Recorded(store).champion()) == (True, None)
    answer = promote.fn(store, first)
    assert answer.promoted
    assert "no champion yet" in answer.reason

    # Better by 2 points, but nobody knows yet what another seed would give; then one seed is 4 points lower.
    second = _train(store, "large", 0)
    _benchmark(store, "large-0", 0.99, split="train")
    with pytest.raises(InputError, match="split val-half"):
        promote.fn(store, second)
    _benchmark(store, "large-0", 0.52)
    answer = promote.fn(store, second)
    assert not answer.promoted
    assert "another seed" in answer.reason
    assert _aliases() == {"champion": _version(store, first), "challenger": _version(store, second)}
    _train(store, "large", 1)
    _benchmark(store, "large-1", 0.48)
    answer = promote.fn(store, second)
    assert (answer.promoted, answer.spread) == (False, pytest.approx(0.04))
    assert Recorded(store).champion().run_id == first

    # Other detections do not count, though they are newer and better.
    _benchmark(store, "small-0", 0.90, detections="det_yolox.txt")
    third, fourth = _train(store, "huge", 0), _train(store, "huge", 1)
    _benchmark(store, "huge-0", 0.56)
    _benchmark(store, "huge-1", 0.55)
    assert not promote.fn(store, first).promoted, "the champion is not promoted again"
    answer = promote.fn(store, third[:8])
    assert answer.promoted, answer
    assert answer.champion.score == 0.50
    assert answer.candidate.seeds == {third: 0.56, fourth: 0.55}
    from mlflow import MlflowClient

    client = MlflowClient()
    version = client.get_model_version_by_alias(MODEL_NAME, "champion")
    assert version.run_id == third
    assert "more than the spread of 1.00 (2 seeds" in version.description
    assert "56.00 against the champion's 50.00" in version.description
    assert _aliases() == {"champion": _version(store, third)}, "the second was the challenger, and is so no longer"

    tried = undo_promotion.fn(store, dry_run=True)
    assert (tried.champion, tried.challenger) == (_version(store, first), _version(store, third))
    assert _aliases() == {"champion": _version(store, third)}
    undone = undo_promotion.fn(store)
    assert undone.promotion == answer.mlflow_run_id
    assert _aliases() == {"champion": _version(store, first), "challenger": _version(store, third)}
    taken_back = client.get_model_version(MODEL_NAME, _version(store, third))
    assert taken_back.tags["promotion.promoted"] == "undone"
    assert taken_back.description.startswith("No longer champion")
    with pytest.raises(InputError, match="was the first champion"):
        undo_promotion.fn(store)
    assert promote.fn(store, third).promoted, "it can be promoted again"
    client.delete_model_version(MODEL_NAME, _version(store, first))
    with pytest.raises(InputError, match="the champion before, was deleted"):
        undo_promotion.fn(store)
    assert _aliases() == {"champion": _version(store, third)}


def _aliases() -> dict[str, str]:
    from mlflow import MlflowClient

    return {name: str(number) for name, number in MlflowClient().get_registered_model(MODEL_NAME).aliases.items()}


def _version(store: Workspace, run: str) -> str:
    return Recorded(store).version_of(run).number


def test_a_probe_must_agree(
    store: Workspace, tmp_path: Path, make_sequence: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    footage = make_sequence(tmp_path, n_frames=24, pace=2)
    first, second = _train(store, "first", 0), _train(store, "second", 0, probe=str(footage))
    _benchmark(store, "first-0", 0.5)
    _benchmark(store, "second-0", 0.6)
    before, after = (Recorded(store).version_of(run).number for run in (first, second))
    MlflowClient().set_registered_model_alias(MODEL_NAME, "champion", before)
    # Versions whose weights lie here in place of the server: a network without training, and colours.
    files = {f"models:/{MODEL_NAME}/{number}": tmp_path / f"{number}.safetensors" for number in (before, after)}
    Embedder.untrained("resnet18", 32).save(files[f"models:/{MODEL_NAME}/{before}"])
    Embedder(HistogramNetwork().eval(), 64, {}).save(files[f"models:/{MODEL_NAME}/{after}"])
    monkeypatch.setattr("tasks.promotion.download_embedder", files.__getitem__)
    answer = promote.fn(store, second, spread=0.01)
    assert answer.probe.footage == str(footage)
    assert answer.probe.low <= answer.probe.gain <= answer.probe.high
    assert answer.promoted is (answer.probe.low > 0)
    assert "probe AUC" in answer.reason
    written = MlflowClient().get_run(answer.mlflow_run_id).data.metrics
    assert written["probe_gain"] == pytest.approx(answer.probe.gain)
    MlflowClient().set_registered_model_alias(MODEL_NAME, "champion", before)
    without = promote.fn(store, second, spread=0.01, probe="none", dry_run=True)
    assert (without.promoted, without.probe) == (True, None)
    with pytest.raises(InputError, match=r"probe: /nowhere: no such folder.*--probe none"):
        promote.fn(store, second, spread=0.01, probe="/nowhere")


def test_what_is_no_training_says_what_to_give(store: Workspace) -> None:
    with pytest.raises(InputError, match="expected an MLflow run id"):
        promote.fn(store, "../etc")
    with pytest.raises(InputError, match="no run whose id begins so"):
        promote.fn(store, "abcdef0")
    with pytest.raises(InputError, match="not recorded"):
        promote.fn(store, "0" * 32)
    with mlflow_run(store, "other", "r", system_metrics=False) as reporter:
        pass
    with pytest.raises(InputError, match="no version of ssat-embedder comes from it"):
        promote.fn(store, reporter.run_id)
