"""The pretext training: from a frame store to an embedder, in one process or in every rank of a process group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import distributed as dist

from ssat.embedding.checkpoint import Checkpoints, latest_checkpoint
from ssat.embedding.data import TrainingData
from ssat.embedding.device import usable_device
from ssat.embedding.embedder import Embedder
from ssat.embedding.evaluation import features_of, held_out_scores
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.schedule import learning_rate_at, margin_at
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_step import NonFiniteLossError, TrainStep
from ssat.embedding.training_state import TrainingState
from ssat.embedding.whitening import whitened, whitening
from ssat.errors import InputError, SsatError
from ssat.frames.store import FrameStore
from ssat.reporter import NullReporter, Reporter

CHECKPOINTS = "checkpoints"
EMBEDDER_FILE = "embedder.safetensors"
_BEST_FILE = "best.safetensors"
_REPORT_EVERY = 10

Evaluate = Callable[[Embedder], Mapping[str, float]]


class TrainingDivergedError(SsatError):
    """The loss is not finite: nothing that follows would mean anything."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished training says of itself."""

    embedder: Path
    """The embedder's safetensors file: of the evaluation with the best held-out score, of the end without any."""
    history: list[dict[str, float]]
    """One row per epoch: loss, accuracy, learning rate, images per second, retrieval scores where computed."""
    classes: int
    steps: int
    best: dict[str, float]
    """Scores of that evaluation under held_out_…, and its `epoch`; empty when nothing was held out."""

    @property
    def held_out(self) -> dict[str, float]:
        """The held-out scores of the embedder."""
        return {key.removeprefix("held_out_"): value for key, value in self.best.items() if "held_out_" in key}


def train_loop(
    settings: TrainSettings,
    store: FrameStore,
    folder: Path,
    reporter: Reporter | None = None,
    process_group: dist.ProcessGroup | None = None,
    evaluate: Evaluate | None = None,
) -> TrainResult:
    """Trains on `store` and leaves `embedder.safetensors` and `checkpoints` in `folder`.

    Every rank of `process_group` calls this with the same arguments, and `folder` is one that all of them see; None
    means a training of one process. It goes on from the latest checkpoint in `folder`, whatever the number of ranks
    that made it. Only rank 0 reports.

    Args:
        settings: of the training.
        store: the opened frame store.
        folder: of this training.
        reporter: receives step and epoch numbers and progress.
        process_group: the ranks.
        evaluate: further scores of an embedder, asked for at each evaluation, on rank 0.

    Raises:
        InputError: settings that the store cannot serve, a checkpoint of other data or settings.
        WorkspaceError: a checkpoint or the embedder cannot be written; the checkpoints before are kept.
        TrainingDivergedError: the loss is not finite; names the clips of the batch.
    """
    return _Training(settings, store, folder, reporter, process_group, evaluate).run()


class _Training:
    """One rank's part of one training."""

    def __init__(
        self,
        settings: TrainSettings,
        store: FrameStore,
        folder: Path,
        reporter: Reporter | None,
        group: dist.ProcessGroup | None,
        evaluate: Evaluate | None,
    ) -> None:
        rank, world = (group.rank(), group.size()) if group is not None else (0, 1)
        if settings.batch_size % world and settings.min_workers is None:
            raise InputError(f"setting train.batch_size: {settings.batch_size} does not divide by {world} processes")
        self._settings = settings
        self._store = store
        self._folder = folder
        self._reporter = reporter if reporter is not None and rank == 0 else NullReporter()
        self._group = group
        self._rank = rank
        self._evaluate = evaluate
        self._device = usable_device(settings.device, "setting train.device")
        self._data = TrainingData(settings, store, rank, world)
        self._state = TrainingState(settings, self._data.training, store.digest, self._device, group)
        shards = world if self._state.sharded else 1
        self._checkpoints = Checkpoints(folder / CHECKPOINTS, rank, shards, settings.keep_checkpoints)
        checkpoint = latest_checkpoint(folder / CHECKPOINTS)
        if checkpoint is not None:
            self._state.resume(checkpoint)
        elif settings.warm_start is not None:
            self._state.warm_start(Path(settings.warm_start).expanduser())
        if group is not None:
            # No rank may write a new checkpoint while another still looks for the latest.
            dist.barrier(group=group)
        self._step = TrainStep(self._state, settings, self._device, group)
        self._total_steps = settings.epochs * self._data.steps_per_epoch

    def run(self) -> TrainResult:
        state, settings = self._state, self._settings
        for row in state.history:
            self._report_epoch(row)
        if state.step == 0:
            # Finds out before the work that there is room, and leaves something to look at if the first steps fail.
            state.save(self._checkpoints)
        while state.epoch < settings.epochs:
            row = self._train_epoch()
            state.epoch += 1
            state.images, state.sums = 0, [0.0, 0.0, 0.0, 0.0]
            row["epoch"] = float(state.epoch)
            if state.epoch == settings.epochs or state.epoch % settings.evaluate_every == 0:
                row |= self._scores(state.epoch)
            state.history.append(row)
            self._report_epoch(row)
            state.save(self._checkpoints)
        self._checkpoints.wait()
        return self._finish()

    def _train_epoch(self) -> dict[str, float]:
        state, settings, data = self._state, self._settings, self._data
        images_a_step = settings.batch_size // data.world * data.world
        start = min(round(state.images / images_a_step), data.steps_per_epoch)
        started, waited, seen = time.perf_counter(), 0.0, 0
        rate = settings.learning_rate
        for index, (images_BHW3, labels_B, wait) in enumerate(_timed(data.epoch(state.epoch, start)), start):
            progress = (state.epoch + index / data.steps_per_epoch) / settings.epochs
            rate = learning_rate_at(progress, settings)
            try:
                numbers = self._step(images_BHW3, labels_B, rate, margin_at(progress, settings))
            except NonFiniteLossError as error:
                raise self._diverged(error) from error
            state.step += 1
            state.images += images_a_step
            state.sums = [total + value for total, value in zip(state.sums, (*numbers, 1.0), strict=True)]
            waited += wait
            seen += images_a_step
            # The last step of an epoch always reports, so that the bar arrives.
            done = state.epoch * data.steps_per_epoch + index + 1
            if done % _REPORT_EVERY == 0 or index + 1 == data.steps_per_epoch:
                self._reporter.scalars({"step_loss": numbers[0], "learning_rate": rate}, state.step)
                self._reporter.progress(done, self._total_steps, "training steps")
            if state.step % settings.checkpoint_every == 0 and index + 1 < data.steps_per_epoch:
                state.save(self._checkpoints)
        elapsed = max(time.perf_counter() - started, 1e-9)
        loss, accuracy, target_cosine, steps = state.sums
        return {
            "loss": loss / max(steps, 1),
            "accuracy": accuracy / max(steps, 1),
            "target_cosine": target_cosine / max(steps, 1),
            "learning_rate": rate,
            "images_per_second": seen / elapsed,
            "data_wait_share": waited / elapsed,
            "corrupt_frames": float(data.corrupt_frames),
            "workers": float(data.world),
        }

    def _scores(self, epoch: int) -> dict[str, float]:
        """Held-out and further scores; keeps the embedder if none before had a better held-out score."""
        state, scores = self._state, {}
        network = self._feature_network(self._group)
        if self._data.held_out:
            scores = held_out_scores(network, self._data, self._group, self._device)
        if self._rank == 0 and self._evaluate is not None:
            scores |= self._evaluate(self._embedder(network, {}))
        if scores and _rank_of(scores) >= _rank_of(state.best):
            state.best, state.best_step = {**scores, "epoch": float(epoch)}, state.step
            if self._rank == 0 and self._data.held_out:
                self._embedder(network, state.best).save(self._folder / _BEST_FILE)
        return scores

    def _feature_network(self, group: dist.ProcessGroup | None) -> EmbeddingNetwork:
        """The network that the embedder gets: the trained one, its features whitened where that is asked for."""
        network, shrinkage = self._state.feature_network, self._settings.whiten
        if shrinkage is None:
            return network
        features_BD = features_of(network, self._data.whitening_crops(), self._device, group)
        return whitened(network, *whitening(features_BD, shrinkage))

    def _embedder(self, network: EmbeddingNetwork, scores: Mapping[str, float]) -> Embedder:
        facts = {
            "settings": self._settings.model_dump(mode="json"),
            "data_digest": self._store.digest,
            "classes": self._data.classes,
            "steps": self._total_steps,
            "held_out": {k.removeprefix("held_out_"): v for k, v in scores.items() if k.startswith("held_out_")},
            "epoch": scores.get("epoch", float(self._state.epoch)),
        }
        return Embedder(network, self._settings.crop, facts)

    def _finish(self) -> TrainResult:
        target, best = self._folder / EMBEDDER_FILE, self._folder / _BEST_FILE
        if self._rank == 0:
            if best.exists():
                best.replace(target)
            elif not self._data.held_out or not target.exists():
                self._embedder(self._feature_network(None), self._state.best).save(target)
        state = self._state
        return TrainResult(target, state.history, self._data.classes, self._total_steps, state.best)

    def _report_epoch(self, row: dict[str, float]) -> None:
        self._reporter.scalars({key: value for key, value in row.items() if key != "epoch"}, int(row["epoch"]))

    def _diverged(self, error: NonFiniteLossError) -> TrainingDivergedError:
        """Says whose frames the batch held, and which state is kept: this one is spoilt by the batch."""
        self._checkpoints.wait()
        kept = latest_checkpoint(self._folder / CHECKPOINTS)
        ids = dict(zip(*(self._store.clips.column(name).to_pylist() for name in ("rank", "clip_id")), strict=True))
        clips = [ids[self._data.training[label]] for label in error.labels]
        shown = ", ".join(clips[:8]) + (f" and {len(clips) - 8} more" if len(clips) > 8 else "")
        return TrainingDivergedError(
            f"training diverged: loss {error.loss} at step {self._state.step + 1}, on clips {shown}; "
            f"{kept} is kept. Lower train.learning_rate, set train.clip_gradient or lengthen train.warmup"
        )


def _rank_of(scores: Mapping[str, float]) -> tuple[float, float]:
    names = ("held_out_recall_at_1", "held_out_mean_average_precision")
    return scores.get(names[0], -1.0), scores.get(names[1], -1.0)


def _timed(
    batches: Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]],
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], float]]:
    """Each batch with the seconds that the step had to wait for it."""
    while True:
        before = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield (*batch, time.perf_counter() - before)
