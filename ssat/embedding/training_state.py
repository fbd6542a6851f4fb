"""What a training consists of on one rank: network, head, optimiser, average, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssat.embedding.checkpoint import (
    Checkpoints,
    latest_checkpoint,
    load_head_rows,
    load_network,
    load_state,
)
from ssat.embedding.cosface import CosFaceHead
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.settings import RUNTIME_FIELDS, TrainSettings
from ssat.embedding.sharded_head import ShardedCosFaceHead
from ssat.errors import InputError

# Above it, gradients of a dense head that travel cost more than features that are gathered.
_SHARDED_FROM = 16_384


class TrainingState:
    """Built the same on every rank from settings and seed; `resume` and `warm_start` replace its content.

    Attributes:
        network: gives features; trained.
        head: this rank's class weights; `head.rows` says which classes.
        optimizer: SGD over both.
        average: the running average of the network, or None.
        epoch: epochs finished.
        images: images of the current epoch that were trained on, over all ranks.
        step: steps taken.
        sums: loss, accuracy, target cosine and number of the current epoch's steps.
        history: a row per finished epoch.
        best: held-out scores of the best evaluation so far, with its epoch.
        best_step: steps taken when that evaluation was made.
    """

    def __init__(
        self,
        settings: TrainSettings,
        class_ranks: Sequence[int],
        data_digest: str,
        device: torch.device,
        group: dist.ProcessGroup | None,
    ) -> None:
        world = group.size() if group is not None else 1
        if len(class_ranks) < world:
            raise InputError(f"{len(class_ranks)} classes are fewer than {world} workers; lower train.workers")
        self._settings = settings
        self._class_ranks = list(class_ranks)
        self._data_digest = data_digest
        self._device = device
        torch.manual_seed(settings.seed)
        self.network = EmbeddingNetwork(settings.architecture, pretrained=settings.pretrained)
        self.network.to(device).to(memory_format=torch.channels_last)
        self.head = _build_head(settings, len(class_ranks), group).to(device)
        trained = [*self.network.parameters(), *(p for p in self.head.parameters() if p.requires_grad)]
        self.optimizer = torch.optim.SGD(
            trained, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )
        self.average: AveragedModel | None = None
        if settings.ema is not None:
            averaging = get_ema_multi_avg_fn(settings.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.network, multi_avg_fn=averaging, use_buffers=True)
        self.epoch = 0
        self.images = 0
        self.step = 0
        self.sums = [0.0, 0.0, 0.0, 0.0]
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] = {}
        self.best_step: int | None = None

    @property
    def sharded(self) -> bool:
        """Whether each rank holds its own classes."""
        return isinstance(self.head, ShardedCosFaceHead)

    @property
    def feature_network(self) -> EmbeddingNetwork:
        """The network whose features count: the average where there is one."""
        if self.average is None:
            return self.network
        return cast("EmbeddingNetwork", self.average.module)

    def save(self, checkpoints: Checkpoints) -> None:
        """Starts to write a checkpoint of this moment."""
        facts = {
            "data_digest": self._data_digest,
            "settings": self._settings.model_dump(mode="json"),
            "class_ranks": self._class_ranks,
            "epoch": self.epoch,
            "images": self.images,
            "step": self.step,
            "sums": self.sums,
            "history": self.history,
            "best": self.best,
            "best_step": self.best_step,
        }
        shared = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            if (buffer := self._momentum(parameter)) is not None:
                shared[f"momentum.{name}"] = buffer
        if self.average is not None:
            shared |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        rows = {"weight": self.head.weight}
        momentum = self.head.momentum_rows if self._samples_negatives() else self._momentum(self.head.weight)
        if momentum is not None:
            rows["momentum"] = momentum
        checkpoints.save(facts, shared, rows, self.head.rows.start)

    def resume(self, checkpoint: Path) -> None:
        """Takes everything from a checkpoint of the same data and settings, made by any number of ranks.

        Raises:
            InputError: damaged, or of other data, settings or classes.
        """
        # Whitening is done to what the training gives, not in it.
        must_agree = self._settings.model_dump(mode="json", exclude={*RUNTIME_FIELDS, "whiten"})
        state = load_state(checkpoint, data_digest=self._data_digest, settings=must_agree)
        if state["class_ranks"] != self._class_ranks:
            raise InputError(f"{checkpoint}: made for other classes; delete it to start again")
        tensors = load_network(checkpoint)
        _load_into(self.network, _below("network.", tensors), checkpoint)
        for name, buffer in _below("momentum.", tensors).items():
            parameter = self.network.get_parameter(name)
            # The layout in memory decides the order of sums, and so the last bits of what follows.
            self.optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer).detach()
        if self.average is not None:
            _load_into(self.average, _below("average.", tensors), checkpoint)
        rows = load_head_rows(checkpoint, state["head_files"], self.head.rows)
        if len(rows.get("weight", ())) != len(self.head.rows):
            raise InputError(f"{checkpoint}: holds weights for other classes; delete it to start again")
        with torch.no_grad():
            self.head.weight.copy_(rows["weight"])
        if "momentum" in rows:
            momentum = rows["momentum"].to(self._device)
            if self._samples_negatives():
                self.head.momentum_rows.copy_(momentum)
            else:
                self.optimizer.state[self.head.weight]["momentum_buffer"] = momentum
        self.epoch, self.images, self.step = int(state["epoch"]), int(state["images"]), int(state["step"])
        self.sums, self.history, self.best = list(state["sums"]), list(state["history"]), dict(state["best"])
        self.best_step = state.get("best_step")

    def warm_start(self, folder: Path) -> None:
        """Takes the network and the weights of the classes that both have from another training's last checkpoint.

        Raises:
            InputError: no checkpoint, another architecture, or its classes are no prefix of these.
        """
        checkpoint = latest_checkpoint(folder / "checkpoints")
        if checkpoint is None:
            raise InputError(f"setting train.warm_start: {folder} holds no checkpoint; expected a training's folder")
        state = load_state(checkpoint, settings={"architecture": self._settings.architecture})
        before = state["class_ranks"]
        if before != self._class_ranks[: len(before)]:
            raise InputError(
                f"setting train.warm_start: the {len(before)} classes of {folder} are not the first of these "
                f"{len(self._class_ranks)}; expected a training on fewer clips of the same roster"
            )
        _load_into(self.network, _below("network.", load_network(checkpoint)), checkpoint)
        rows = load_head_rows(checkpoint, state["head_files"], self.head.rows)
        if "weight" in rows:
            with torch.no_grad():
                self.head.weight[: len(rows["weight"])] = rows["weight"].to(self._device)
        if self.average is not None:
            self.average.module.load_state_dict(self.network.state_dict())

    def _momentum(self, parameter: nn.Parameter) -> Tensor | None:
        buffer: Tensor | None = self.optimizer.state[parameter].get("momentum_buffer")
        return buffer

    def _samples_negatives(self) -> bool:
        return self._settings.negative_share < 1


def _build_head(settings: TrainSettings, classes: int, group: dist.ProcessGroup | None) -> Any:
    world = group.size() if group is not None else 1
    sharded = settings.head == "sharded" or settings.negative_share < 1
    if settings.head == "auto" and world > 1 and classes >= _SHARDED_FROM:
        sharded = True
    if not sharded:
        return CosFaceHead(classes, scale=settings.scale, margin=settings.margin, seed=settings.seed)
    return ShardedCosFaceHead(
        classes,
        group,
        scale=settings.scale,
        margin=settings.margin,
        seed=settings.seed,
        negative_share=settings.negative_share,
    )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_into(module: nn.Module, tensors: dict[str, Tensor], checkpoint: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{checkpoint}: of another network ({reason})") from error
