"""The training loop on a small store of generated clips: alone, in two ranks, interrupted, and going wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file
from torch import distributed as dist

from ssat.embedding.checkpoint import latest_checkpoint
from ssat.embedding.cosface import initial_rows
from ssat.embedding.embedder import Embedder
from ssat.embedding.held_out import HeldOutScores
from ssat.embedding.meter import Meter
from ssat.embedding.retrieval import RetrievalScores
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_loop import TrainingDivergedError, train_loop
from ssat.errors import InputError
from ssat.frames.store import FrameStore
from ssat.reporter import NullReporter
from tests.ssat.embedding.ranks import run_ranks

pytestmark = pytest.mark.slow

SMALL = {
    "architecture": "resnet18",
    "crop": 32,
    "short_side": 36,
    "held_out_clips": 2,
    "frames_per_clip": 8,
    "batch_size": 16,
    "learning_rate": 0.05,
    "schedule": "cosine",
    "scale": 16.0,
    "epochs": 4,
    "evaluate_every": 2,
    "workers": 1,
    "device": "cpu",
}


def settings(**values: object) -> TrainSettings:
    return TrainSettings.build(None, {**SMALL, **values})


class Recorder(NullReporter):
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.notes: list[str] = []

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        self.notes.append(note)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self.rows.append((step, dict(values)))


class StoppedError(Exception):
    pass


class StopsAfter(NullReporter):
    """Interrupts the training as a killed process would: after the report of an epoch's last step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        if done >= self.steps:
            raise StoppedError


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = safetensors.torch.load_file(folder / "embedder.safetensors")
    return tensors


def test_it_learns_and_says_so(small_store: FrameStore, tmp_path: Path) -> None:
    recorder = Recorder()
    result = train_loop(settings(epochs=8), small_store, tmp_path, recorder)
    assert result.classes == 8
    assert result.steps == 8 * 4
    first, last = result.history[0], result.history[-1]
    assert last.loss < first.loss / 2
    assert last.accuracy > 0.75 > first.accuracy  # chance is 1/8
    assert last.target_cosine > first.target_cosine
    names = ("recall_at_1", "mean_average_precision", "verification_auc")
    assert set(result.held_out) == {f"{name}{gap}" for name in names for gap in ("", "_gap_0.1s")}, "no clip has 5 s"
    assert "held_out_recall_at_1" in result.history[1].scores
    assert not result.history[0].scores
    assert [step for step, row in recorder.rows if "accuracy" in row] == list(range(1, 9))
    embedder = Embedder.load(result.embedder)
    assert embedder.input_size == 32
    assert embedder.facts["data_digest"] == small_store.digest
    assert embedder.facts["settings"]["epochs"] == 8


def test_the_same_seed_gives_the_same_weights(small_store: FrameStore, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_loop(settings(epochs=1, seed=seed), small_store, tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ema": 0.9, "accumulate": 2, "clip_gradient": 1.0, "margin_warmup": 0.5, "whiten": 0.1},
        {"negative_share": 0.5},
    ],
    ids=["plain", "options", "partial"],
)
def test_an_interrupted_training_ends_with_the_same_weights(
    values: dict[str, object], small_store: FrameStore, tmp_path: Path
) -> None:
    whole_result = train_loop(settings(**values), small_store, tmp_path / "whole")
    with pytest.raises(StoppedError):
        # A checkpoint in the middle of the third epoch (4 steps each), and a stop at its end.
        train_loop(settings(**values, checkpoint_every=5), small_store, tmp_path / "resumed", StopsAfter(12))
    assert not (tmp_path / "resumed" / "embedder.safetensors").exists()
    assert sorted(path.name for path in (tmp_path / "resumed" / "checkpoints").iterdir())[-1] == "step-0000000010"
    recorder = Recorder()
    result = train_loop(settings(**values), small_store, tmp_path / "resumed", recorder)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert len(result.history) == 4
    assert result.best == whole_result.best
    assert [row.loss for row in result.history] == [row.loss for row in whole_result.history]
    # The curves of the resumed run are whole too: epochs done before are reported again.
    assert [step for step, row in recorder.rows if "accuracy" in row] == [1, 2, 3, 4]


def test_early_epochs_use_the_smaller_crop(
    small_store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssat.embedding.network import EmbeddingNetwork

    sizes: list[int] = []
    forward = EmbeddingNetwork.forward

    def watched(network: EmbeddingNetwork, images: torch.Tensor) -> torch.Tensor:
        if network.training:
            sizes.append(images.shape[1])
        return forward(network, images)

    monkeypatch.setattr(EmbeddingNetwork, "forward", watched)
    train_loop(settings(epochs=2, early_crop=32, early_epochs=1, crop=48, short_side=56), small_store, tmp_path)
    assert sizes == [32] * 4 + [48] * 4


@pytest.mark.parametrize("checkpoint_every", [1, 500])
def test_a_loss_that_is_not_finite_stops_and_says_what_to_do(
    small_store: FrameStore, tmp_path: Path, checkpoint_every: int
) -> None:
    values = {"learning_rate": 1e30, "warmup": 0.0, "checkpoint_every": checkpoint_every}
    expected = r"loss (nan|inf) at step (\d+), on clips clip.*train\.learning_rate"
    with pytest.raises(TrainingDivergedError, match=expected) as caught:
        train_loop(settings(**values), small_store, tmp_path)
    kept = Path(re.search(r"; (\S+) is kept", str(caught.value))[1])
    assert kept.is_dir()
    assert not (tmp_path / "embedder.safetensors").exists()
    # No checkpoint of spoilt weights, however often they are written: each is from before the step of the message.
    failed = int(re.search(r"at step (\d+)", str(caught.value))[1])
    assert int(kept.name.removeprefix("step-")) < failed
    for checkpoint in (tmp_path / "checkpoints").iterdir():
        assert int(checkpoint.name.removeprefix("step-")) < failed


def test_a_step_reads_nothing_from_the_device(small_store: FrameStore, tmp_path: Path) -> None:
    """Numbers of the steps are read by `Meter.check` alone: every ten steps, before a checkpoint, at an epoch's end."""
    read: list[int] = []
    check = Meter.check

    def counted(meter: Meter) -> float:
        read.append(meter.n_unread)
        return check(meter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meter, "check", counted)
        train_loop(settings(epochs=2, frames_per_clip=None, batch_size=8), small_store, tmp_path)
    assert sum(read) == 2 * 31  # 255 frames of 8 clips, in steps of 8
    assert read == [10, 10, 10, 1, 9, 10, 10, 2]


def test_more_images_than_an_epoch_has_is_refused(small_store: FrameStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size: 4096 images are more than one epoch of 8 clips"):
        train_loop(settings(batch_size=4096), small_store, tmp_path)


def test_cuda_is_refused_where_there_is_none(small_store: FrameStore, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="cuda asked for, but no GPU is usable"):
        train_loop(settings(device="cuda"), small_store, tmp_path)


def test_a_larger_training_starts_from_a_smaller_one(small_store: FrameStore, tmp_path: Path) -> None:
    train_loop(settings(clips=5, learning_rate=1e-9, epochs=1), small_store, tmp_path / "small")
    start = settings(clips=8, learning_rate=1e-9, epochs=1, seed=1, warm_start=str(tmp_path / "small"))
    train_loop(start, small_store, tmp_path / "large")
    small, large = (
        load_file(latest_checkpoint(tmp_path / name / "checkpoints") / "head-00000-of-00001.safetensors")["weight"]
        for name in ("small", "large")
    )
    torch.testing.assert_close(large[:5], small, rtol=0, atol=1e-6)
    torch.testing.assert_close(large[5:], initial_rows(5, 8, seed=1), rtol=0, atol=1e-6)
    a, b = weights(tmp_path / "small"), weights(tmp_path / "large")
    torch.testing.assert_close(a["backbone.conv1.weight"], b["backbone.conv1.weight"], rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"the 8 classes of .* are not the first of these 5"):
        train_loop(settings(clips=5, warm_start=str(tmp_path / "large")), small_store, tmp_path / "no")
    with pytest.raises(InputError, match="holds no checkpoint"):
        train_loop(settings(warm_start=str(tmp_path / "nothing")), small_store, tmp_path / "no")


def test_another_store_is_refused(small_store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_loop(settings(epochs=1), small_store, tmp_path)
    monkeypatch.setattr(FrameStore, "digest", "b" * 64)
    with pytest.raises(InputError, match=r"made from frame store .*train\.warm_start"):
        train_loop(settings(epochs=1), small_store, tmp_path)


def test_the_embedder_is_the_one_with_the_best_held_out_score(
    small_store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.7, 0.4])
    monkeypatch.setattr(
        "ssat.embedding.evaluation.held_out_scores",
        lambda *_: HeldOutScores(RetrievalScores(next(scores), 0.5, 0.5), {}),
    )
    result = train_loop(settings(epochs=3, evaluate_every=1, keep_checkpoints=1), small_store, tmp_path)
    kept = [int(path.name.removeprefix("step-")) for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert kept == [8, 12]  # of the best evaluation, after the second epoch of 4 steps, and the last
    assert result.best == {
        "held_out_recall_at_1": 0.7,
        "held_out_mean_average_precision": 0.5,
        "held_out_verification_auc": 0.5,
        "epoch": 2.0,
    }
    embedder = Embedder.load(result.embedder)
    assert embedder.facts["epoch"] == 2.0
    assert embedder.facts["held_out"]["recall_at_1"] == 0.7
    last = load_file(latest_checkpoint(tmp_path / "checkpoints") / "network.safetensors")
    assert not torch.equal(last["network.backbone.conv1.weight"], weights(tmp_path)["backbone.conv1.weight"])


def test_further_scores_are_asked_for_and_reported(small_store: FrameStore, tmp_path: Path) -> None:
    def evaluate(embedder: Embedder) -> dict[str, float]:
        assert embedder.input_size == 32
        return {"mot_idf1": 0.5}

    result = train_loop(settings(), small_store, tmp_path, evaluate=evaluate)
    assert [row.scores.get("mot_idf1") for row in result.history] == [None, 0.5, None, 0.5]


def probed(aucs: list[float]) -> Any:
    """An evaluation that gives these AUCs one after the other, as the probe on footage would."""
    left = iter(aucs)
    return lambda embedder: {"probe_auc": (auc := next(left)), "probe_auc_low": auc - 0.1, "probe_auc_high": 1.0}


@pytest.mark.parametrize("held_out", [0, 2])
def test_the_probe_chooses_the_weights_before_the_held_out_score(
    held_out: int, small_store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls = iter([0.2, 0.7, 0.9])
    monkeypatch.setattr(
        "ssat.embedding.evaluation.held_out_scores",
        lambda *_: HeldOutScores(RetrievalScores(next(recalls), 0.5, 0.5), {}),
    )
    values = settings(epochs=3, evaluate_every=1, keep_checkpoints=1, held_out_clips=held_out)
    recorder = Recorder()
    result = train_loop(values, small_store, tmp_path, recorder, evaluate=probed([0.8, 0.9, 0.7]))
    assert result.probe == {"auc": 0.9, "auc_low": pytest.approx(0.8), "auc_high": 1.0}
    assert result.best["epoch"] == 2.0
    facts = Embedder.load(result.embedder).facts
    assert (facts["epoch"], facts["probe"]["auc"]) == (2.0, 0.9)
    assert result.held_out.get("recall_at_1") == (0.7 if held_out else None)
    assert [row["probe_auc"] for _, row in recorder.rows if "probe_auc" in row] == [0.8, 0.9, 0.7]
    assert next(note for note in recorder.notes if note) == "probe AUC 0.800 (epoch 1)"
    # Asked for again after its end, nothing is trained, and the weights are still those of the second epoch.
    again = train_loop(values, small_store, tmp_path, evaluate=probed([]))
    assert Embedder.load(again.embedder).facts["epoch"] == 2.0


def test_an_interrupted_training_with_a_probe_ends_with_the_same_weights(
    small_store: FrameStore, tmp_path: Path, make_sequence: Any
) -> None:
    from ssat.pipeline.probe_evaluation import ProbeEvaluation

    probe = ProbeEvaluation(make_sequence(tmp_path, n_frames=24, pace=2))
    values = {"held_out_clips": 0, "evaluate_every": 1, "epochs": 3}
    whole = train_loop(settings(**values), small_store, tmp_path / "whole", evaluate=probe)
    with pytest.raises(StoppedError):
        train_loop(
            settings(**values, checkpoint_every=2), small_store, tmp_path / "resumed", StopsAfter(10), evaluate=probe
        )
    resumed = train_loop(settings(**values), small_store, tmp_path / "resumed", evaluate=probe)
    assert resumed.best == whole.best
    assert 0.5 < whole.probe["auc"] <= 1.0
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert all(torch.equal(first[name], second[name]) for name in first)


def run_rank(rank: int, rendezvous: str, store_folder: str, folder: str, values: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    world = values["workers"]
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    recorder = Recorder()
    result = train_loop(settings(**values), FrameStore.open(store_folder), Path(folder), recorder, dist.group.WORLD)
    # Held-out scores are computed by shares and must be the same everywhere; only rank 0 may report.
    torch.save({"held_out": result.held_out, "reported": len(recorder.rows)}, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_train_one_model(small_store: FrameStore, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    values = {"workers": 2, "epochs": 4, "whiten": 0.1}
    run_ranks(run_rank, (str(tmp_path / "rendezvous"), str(small_store.folder), str(tmp_path / "out"), values), 2)
    ranks = [torch.load(tmp_path / "out" / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    assert ranks[0]["held_out"] == ranks[1]["held_out"] != {}
    assert ranks[0]["reported"] > 0 == ranks[1]["reported"]
    # The embedder that rank 0 wrote gives the score that both ranks computed.
    result = train_loop(settings(**values), small_store, tmp_path / "out")
    assert result.held_out == ranks[0]["held_out"]
    assert result.history[-1].loss < result.history[0].loss


def test_sharded_training_goes_on_with_another_number_of_ranks(small_store: FrameStore, tmp_path: Path) -> None:
    values = {"head": "sharded", "epochs": 4}
    run_ranks(run_rank, (str(tmp_path / "two"), str(small_store.folder), str(tmp_path), {**values, "workers": 2}), 2)
    # As if stopped after the first half: the later checkpoints were never written.
    for later in sorted((tmp_path / "checkpoints").iterdir())[1:]:
        shutil.rmtree(later)
    middle = latest_checkpoint(tmp_path / "checkpoints")
    assert middle is not None
    before = json.loads((middle / "state.json").read_text())
    assert before["shards"] == 2
    (tmp_path / "embedder.safetensors").unlink()
    recorder = Recorder()
    result = train_loop(settings(**values), small_store, tmp_path, recorder)
    assert [row.epoch for row in result.history] == [1, 2, 3, 4]
    assert [row.row() for row in result.history][: len(before["history"])] == before["history"]
    assert result.history[-1].loss < before["history"][0]["loss"]
    assert min(step for step, row in recorder.rows if "step_loss" in row) > before["step"]
