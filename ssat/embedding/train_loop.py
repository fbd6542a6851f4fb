"""The pretext training: from a frame store to an embedder, in one process or in every rank of a process group."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from ssat.embedding.checkpoint import load_checkpoint, save_checkpoint
from ssat.embedding.cosface import CosFaceHead, CosFaceOutput
from ssat.embedding.data import TrainingData
from ssat.embedding.embedder import Embedder
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.retrieval import retrieval_scores
from ssat.embedding.schedule import learning_rate_at
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError, SsatError
from ssat.frames.store import FrameStore
from ssat.reporter import NullReporter, Reporter


class TrainingDivergedError(SsatError):
    """The loss is not finite: nothing that follows would mean anything."""


class PretextModel(nn.Module):
    """Network and head as one module, so that data-parallel training reduces both gradients."""

    def __init__(self, settings: TrainSettings, classes: int) -> None:
        super().__init__()
        self.network = EmbeddingNetwork(settings.architecture)
        self.head = CosFaceHead(classes, scale=settings.scale, margin=settings.margin)

    def forward(self, images_BHW3: Tensor, labels_B: Tensor) -> CosFaceOutput:
        output: CosFaceOutput = self.head(self.network(images_BHW3), labels_B)
        return output


@dataclass(frozen=True)
class TrainResult:
    """What a finished training says of itself."""

    embedder: Path
    """The embedder's safetensors file."""
    history: list[dict[str, float]]
    """One row per epoch: loss, accuracy, learning rate, images per second, retrieval scores where computed."""
    classes: int
    steps: int

    @property
    def held_out(self) -> dict[str, float]:
        """The last held-out retrieval scores; empty when nothing was held out."""
        return {key.removeprefix("held_out_"): value for key, value in self.history[-1].items() if "held_out_" in key}


def train_loop(
    settings: TrainSettings,
    store: FrameStore,
    folder: Path,
    reporter: Reporter | None = None,
    process_group: dist.ProcessGroup | None = None,
) -> TrainResult:
    """Trains on `store` and leaves `embedder.safetensors` and `checkpoint.pt` in `folder`.

    Every rank of `process_group` calls this with the same arguments; None means a training of one process. A
    checkpoint in `folder` is gone on with. Only rank 0 reports and writes.

    Raises:
        InputError: settings that the store cannot serve, a checkpoint of other data or settings.
        TrainingDivergedError: the loss is not finite.
    """
    rank, world = (process_group.rank(), process_group.size()) if process_group is not None else (0, 1)
    reporter = reporter if reporter is not None and rank == 0 else NullReporter()
    if settings.batch_size % world:
        raise InputError(f"setting train.batch_size: {settings.batch_size} does not divide by {world} processes")
    data = TrainingData(settings, store, rank, world)
    device = _device(settings)
    torch.manual_seed(settings.seed)
    model = PretextModel(settings, data.classes).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
    )
    recorded = settings.model_dump(mode="json")
    checkpoint, embedder_file = folder / "checkpoint.pt", folder / "embedder.safetensors"
    history: list[dict[str, float]] = []
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, data_digest=store.digest, settings=recorded)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history = state["history"]
        for row in history:
            _report_epoch(reporter, row)
    parallel: nn.Module = model
    if process_group is not None:
        parallel = nn.parallel.DistributedDataParallel(model, process_group=process_group)

    total_steps = settings.epochs * data.steps_per_epoch
    for epoch in range(len(history), settings.epochs):
        row = _train_epoch(parallel, optimizer, data, epoch, total_steps, settings, device, reporter)
        row["epoch"] = float(epoch + 1)
        last = epoch + 1 == settings.epochs
        if data.held_out and (last or (epoch + 1) % settings.evaluate_every == 0):
            row |= _held_out_scores(model, data, process_group, device)
        history.append(row)
        _report_epoch(reporter, row)
        if rank == 0:
            state = {"data_digest": store.digest, "settings": recorded, "history": history}
            save_checkpoint(checkpoint, {**state, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
    result = TrainResult(embedder_file, history, data.classes, total_steps)
    if rank == 0:
        facts = {
            "settings": recorded,
            "data_digest": store.digest,
            "classes": data.classes,
            "steps": total_steps,
            "held_out": result.held_out,
        }
        Embedder(model.network, settings.crop, facts).save(embedder_file)
    return result


def _report_epoch(reporter: Reporter, row: dict[str, float]) -> None:
    reporter.scalars({key: value for key, value in row.items() if key != "epoch"}, int(row["epoch"]))


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TrainingData,
    epoch: int,
    total_steps: int,
    settings: TrainSettings,
    device: torch.device,
    reporter: Reporter,
) -> dict[str, float]:
    model.train()
    started, waited, images = time.perf_counter(), 0.0, 0
    sums = torch.zeros(3, device=device)
    rate = settings.learning_rate
    for index, (images_BHW3, labels_B, wait) in enumerate(_timed(data.epoch(epoch))):
        step = epoch * data.steps_per_epoch + index
        rate = learning_rate_at(step, total_steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        output: CosFaceOutput = model(
            torch.from_numpy(images_BHW3).to(device, non_blocking=True),
            torch.from_numpy(labels_B).to(device, non_blocking=True),
        )
        optimizer.zero_grad(set_to_none=True)
        output.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums += torch.stack([output.loss.detach(), output.accuracy, output.target_cosine])
        waited += wait
        images += len(labels_B) * data.world
        # The last step of an epoch always reports, so that the bar arrives.
        if index % 10 == 9 or index + 1 == data.steps_per_epoch:
            loss = float(output.loss.detach())
            if not math.isfinite(loss):
                raise TrainingDivergedError(
                    f"training diverged: loss {loss} at step {step + 1}; the checkpoint of epoch {epoch} is kept. "
                    "Lower train.learning_rate or lengthen train.warmup"
                )
            reporter.scalars({"step_loss": loss, "learning_rate": rate}, step + 1)
            reporter.progress(step + 1, total_steps, "training steps")
    elapsed = time.perf_counter() - started
    loss, accuracy, target_cosine = (sums / data.steps_per_epoch).tolist()
    return {
        "loss": loss,
        "accuracy": accuracy,
        "target_cosine": target_cosine,
        "learning_rate": rate,
        "images_per_second": images / elapsed,
        "data_wait_share": waited / elapsed,
        "corrupt_frames": float(data.corrupt_frames),
    }


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


@torch.inference_mode()
def _held_out_scores(
    model: PretextModel, data: TrainingData, process_group: dist.ProcessGroup | None, device: torch.device
) -> dict[str, float]:
    """Retrieval on held-out clips; every rank embeds its share, all ranks get the same answer."""
    crops, clips, times = data.held_out_crops()
    if process_group is not None:
        # Running means differ between ranks until the next forward pass: all use rank 0's.
        for buffer in model.network.buffers():
            dist.broadcast(buffer, 0, group=process_group)
    model.eval()
    share = slice(data.rank, None, data.world)
    mine = [
        nn.functional.normalize(model.network(torch.from_numpy(np.ascontiguousarray(chunk)).to(device)).float()).cpu()
        for chunk in np.array_split(crops[share], max(1, math.ceil(len(crops[share]) / 64)))
    ]
    features_BD = np.empty((len(crops), mine[0].shape[1]), np.float32)
    shares: list[Any] = [torch.cat(mine).numpy()]
    if process_group is not None:
        shares = [None] * data.world
        dist.all_gather_object(shares, torch.cat(mine).numpy(), group=process_group)
    for rank, features in enumerate(shares):
        features_BD[rank :: data.world] = features
    scores = retrieval_scores(features_BD, clips, times)
    return {f"held_out_{name}": value for name, value in scores.items()}


def _device(settings: TrainSettings) -> torch.device:
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("setting train.device: cuda asked for, but no GPU is usable; use auto or cpu")
    use_cuda = settings.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")
