"""The state of a training on one rank, and its checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ssat.embedding.checkpoint import Checkpoints, latest_checkpoint, load_head_rows, load_network, load_state
from ssat.embedding.head import build_head
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.optimiser import Optimiser
from ssat.embedding.progress import Progress
from ssat.embedding.settings import TrainSettings
from ssat.embedding.sharded_head import ShardedCosFaceHead
from ssat.errors import InputError
from ssat.file_names import CHECKPOINTS
from ssat.frames.instances import InstanceTable
from ssat.setting_marks import ByContent
from ssat.settings import OmittedAtDefault

_LOG = logging.getLogger(__name__)
# Applied after the training.
_OF_THE_LAST_LAYER = ("whiten", "whiten_within")

# Settings that records leave out at their default: a checkpoint must not have another value either.
_OMITTED = {
    name: None
    for name, field in TrainSettings.fields().items()
    if name not in _OF_THE_LAST_LAYER
    and any(isinstance(mark, OmittedAtDefault) for mark in field.metadata)
    and not any(isinstance(mark, ByContent) for mark in field.metadata)
}


class TrainingState:
    """Built the same on every rank from settings and seed; `resume` and `warm_start` replace its content.

    Attributes:
        network: gives features; trained.
        head: this rank's class weights; `head.rows` says which classes.
        optimiser: of both.
        average: the running average of the network, or None.
        progress: how far the training has come.
    """

    def __init__(
        self,
        settings: TrainSettings,
        class_ids: Sequence[int],
        data_digest: str,
        device: torch.device,
        group: dist.ProcessGroup | None,
        instances: InstanceTable | None = None,
    ) -> None:
        world = group.size() if group is not None else 1
        if len(class_ids) < world:
            raise InputError(f"{len(class_ids)} classes are fewer than {world} workers; lower train.workers")
        self._settings = settings
        self._class_ids = list(class_ids)
        self._data_digest = data_digest
        self._instances = None if instances is None else instances.recipe
        self._device = device
        torch.manual_seed(settings.seed)
        self.network = EmbeddingNetwork(settings.network.architecture, pretrained=settings.network.pretrained)
        self.network.to(device).to(memory_format=torch.channels_last)
        self.head = build_head(settings.head, len(class_ids), settings.seed, group).to(device)
        self.optimiser = Optimiser(settings.optimiser, self.network, self.head)
        self.average: AveragedModel | None = None
        if settings.network.ema is not None:
            averaging = get_ema_multi_avg_fn(settings.network.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.network, multi_avg_fn=averaging, use_buffers=True)
        self.progress = Progress()

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

    def begin(self, checkpoint: Path | None) -> None:
        """Go on from `checkpoint`, else start from the training that the settings name, else from random weights.

        Raises:
            InputError: a checkpoint of other data or settings, or a training that cannot be started from.
        """
        if checkpoint is not None:
            self.resume(checkpoint)
        elif self._settings.warm_start is not None:
            self.warm_start(Path(self._settings.warm_start).expanduser())

    def save(self, checkpoints: Checkpoints) -> None:
        """Start to write a checkpoint of this moment."""
        facts = {
            "data_digest": self._data_digest,
            "settings": self._settings.model_dump(mode="json"),
            "class_ranks": self._class_ids,
            **({} if self._instances is None else {"instances": self._instances}),
            **self.progress.state_dict(),
        }
        shared = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        shared |= {f"momentum.{name}": tensor for name, tensor in self.optimiser.state_dict().items()}
        if self.average is not None:
            shared |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        rows: dict[str, Tensor] = {"weight": self.head.weight}
        if (momentum := self.optimiser.head_momentum) is not None:
            rows["momentum"] = momentum
        checkpoints.save(facts, shared, rows, self.head.rows.start)

    def resume(self, checkpoint: Path) -> None:
        """Take everything from a checkpoint of the same data and settings, made by any number of ranks.

        Raises:
            InputError: damaged, or of other data, settings or classes.
        """
        identity = self._settings.identity().items()
        must_agree = {name: value for name, value in identity if name not in _OF_THE_LAST_LAYER}
        state = load_state(checkpoint, data_digest=self._data_digest, settings={**_OMITTED, **must_agree})
        if state["class_ranks"] != self._class_ids:
            raise InputError(f"{checkpoint}: made for other classes; delete it to start again")
        tensors = load_network(checkpoint)
        _load_into(self.network, _below("network.", tensors), checkpoint)
        self.optimiser.load_state_dict(_below("momentum.", tensors))
        if self.average is not None:
            _load_into(self.average, _below("average.", tensors), checkpoint)
        rows = load_head_rows(checkpoint, state["head_files"], self.head.rows)
        if len(rows.get("weight", ())) != len(self.head.rows):
            raise InputError(f"{checkpoint}: holds weights for other classes; delete it to start again")
        with torch.no_grad():
            self.head.weight.copy_(rows["weight"])
        if "momentum" in rows:
            self.optimiser.load_head_momentum(rows["momentum"])
        self.progress.load_state_dict(state)

    def warm_start(self, folder: Path) -> None:
        """Take the network and the weights of the classes that both have from another training's last checkpoint.

        Raises:
            InputError: no checkpoint, another architecture, or its classes are no prefix of these.
        """
        checkpoint = latest_checkpoint(folder / CHECKPOINTS)
        if checkpoint is None:
            raise InputError(f"setting train.warm_start: {folder} holds no checkpoint; expected a training's folder")
        state = load_state(checkpoint, settings={"architecture": self._settings.network.architecture})
        _load_into(self.network, _below("network.", load_network(checkpoint)), checkpoint)
        if self.average is not None:
            self.average.module.load_state_dict(self.network.state_dict())
        if state.get("instances") != self._instances:
            _LOG.warning(
                "setting train.warm_start: the classes of %s are of another kind; only its network is taken",
                folder,
            )
            return
        before = state["class_ranks"]
        if before != self._class_ids[: len(before)]:
            raise InputError(
                f"setting train.warm_start: the {len(before)} classes of {folder} are not the first of these "
                f"{len(self._class_ids)}; expected a training on fewer clips of the same roster"
            )
        rows = load_head_rows(checkpoint, state["head_files"], self.head.rows)
        if "weight" in rows:
            with torch.no_grad():
                self.head.weight[: len(rows["weight"])] = rows["weight"].to(self._device)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_into(module: nn.Module, tensors: dict[str, Tensor], checkpoint: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{checkpoint}: of another network ({reason})") from error
