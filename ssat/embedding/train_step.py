"""One optimiser step of the pretext training, on one process or in every rank of a group."""

from __future__ import annotations

import math
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from ssat.embedding.cosface import CosFaceOutput
from ssat.embedding.device import dtype_of
from ssat.embedding.settings import TrainSettings
from ssat.embedding.training_state import TrainingState


class NonFiniteLossError(Exception):
    """The loss is no number; the weights are those before the step.

    Attributes:
        labels: classes of the batches whose loss is not finite.
    """

    def __init__(self, loss: float, labels: list[int]) -> None:
        super().__init__(f"loss {loss}")
        self.loss = loss
        self.labels = labels


class TrainStep:
    """Forward, backward and update; with a group, gradients are averaged over its ranks."""

    def __init__(
        self, state: TrainingState, settings: TrainSettings, device: torch.device, group: dist.ProcessGroup | None
    ) -> None:
        self._state = state
        self._settings = settings
        self._device = device
        self._group = group
        self._dtype = dtype_of(settings.precision, device)
        self._network: nn.Module = state.network
        self._head: nn.Module = state.head
        if settings.compile:
            self._network = torch.compile(self._network)  # type: ignore[assignment]
        if group is not None:
            self._network = nn.parallel.DistributedDataParallel(self._network, process_group=group)
            if not state.sharded:
                self._head = nn.parallel.DistributedDataParallel(self._head, process_group=group)

    def __call__(
        self, images_BHW3: NDArray[np.uint8], labels_B: NDArray[np.int64], learning_rate: float, margin: float
    ) -> tuple[float, float, float]:
        """Takes a step; gives loss, accuracy and target cosine over the batch of all ranks.

        Raises:
            NonFiniteLossError: before anything is changed, on every rank.
        """
        state, settings = self._state, self._settings
        state.head.margin = margin
        if state.sharded:
            state.head.start_step(state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate
        state.optimizer.zero_grad(set_to_none=True)
        self._network.train()
        parts = list(
            zip(
                np.array_split(images_BHW3, settings.accumulate),
                np.array_split(labels_B, settings.accumulate),
                strict=True,
            )
        )
        sums = torch.zeros(3, device=self._device)
        for number, (images, labels) in enumerate(parts):
            with ExitStack() as stack:
                if number + 1 < len(parts):
                    for module in (self._network, self._head):
                        if isinstance(module, nn.parallel.DistributedDataParallel):
                            stack.enter_context(module.no_sync())
                output = self._forward(self._moved(images), self._moved(labels))
                (output.loss / len(parts)).backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([output.loss.detach(), output.accuracy, output.target_cosine]) / len(parts)
        loss, accuracy, target_cosine = self._checked(sums, labels_B)
        if settings.clip_gradient is not None:
            nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip_gradient)
        state.optimizer.step()
        if state.sharded:
            state.head.apply_gradient(learning_rate, settings.momentum, settings.weight_decay)
        if state.average is not None:
            state.average.update_parameters(state.network)
        return loss, accuracy, target_cosine

    def _forward(self, images_BHW3: Tensor, labels_B: Tensor) -> CosFaceOutput:
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            features_BD = self._network(images_BHW3)
        output: CosFaceOutput = self._head(features_BD, labels_B)
        return output

    def _moved(self, values: NDArray[np.uint8] | NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(values)
        if self._device.type == "cuda":
            # Pinned memory lets the copy run beside the step before.
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)

    def _checked(self, sums: Tensor, labels_B: NDArray[np.int64]) -> tuple[float, float, float]:
        """The means over all ranks, unless a loss is not finite."""
        own_loss = sums[0].clone()
        if self._group is not None:
            dist.all_reduce(sums, group=self._group)
            sums /= self._group.size()
        loss, accuracy, target_cosine = sums.tolist()
        if not math.isfinite(loss):
            found = [] if math.isfinite(float(own_loss)) else sorted(set(labels_B.tolist()))
            shares = [found]
            if self._group is not None:
                shares = [[] for _ in range(self._group.size())]
                dist.all_gather_object(shares, found, group=self._group)
            raise NonFiniteLossError(loss, sorted({label for share in shares for label in share}))
        return loss, accuracy, target_cosine
