"""One optimiser step of the pretext training, on one process or in every rank of a group."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch import distributed as dist

from ssat.embedding.cosface import CosFaceOutput
from ssat.embedding.device import dtype_of
from ssat.embedding.settings import TrainSettings
from ssat.embedding.sharded_head import ShardedCosFaceHead
from ssat.embedding.training_state import TrainingState


class TrainStep:
    """Forward, backward and update; with a group, gradients are averaged over its ranks."""

    def __init__(
        self, state: TrainingState, settings: TrainSettings, device: torch.device, group: dist.ProcessGroup | None
    ) -> None:
        self._state = state
        self._parts = settings.optimiser.accumulate
        self._device = device
        self._dtype = dtype_of(settings.network.precision, device)
        self._network: nn.Module = state.network
        self._head: nn.Module = state.head
        if settings.network.compile:
            self._network = torch.compile(self._network)  # type: ignore[assignment]
        if group is not None:
            self._network = nn.parallel.DistributedDataParallel(self._network, process_group=group)
            if not state.sharded:
                self._head = nn.parallel.DistributedDataParallel(self._head, process_group=group)

    def __call__(
        self, images_BHW3: NDArray[np.uint8], labels_B: NDArray[np.int64], learning_rate: float, margin: float
    ) -> Tensor:
        """Take a step; return loss, accuracy and target cosine (3,) of this rank's part of the batch.

        The numbers stay on the device: nothing here waits for it.
        """
        state = self._state
        state.head.margin = margin
        if isinstance(state.head, ShardedCosFaceHead):
            state.head.start_step(state.progress.step)
        state.optimiser.zero_grad()
        self._network.train()
        values = torch.zeros(3, device=self._device)
        images, labels = np.array_split(images_BHW3, self._parts), np.array_split(labels_B, self._parts)
        for part in range(self._parts):
            with ExitStack() as stack:
                if part + 1 < self._parts:
                    for module in (self._network, self._head):
                        if isinstance(module, nn.parallel.DistributedDataParallel):
                            stack.enter_context(module.no_sync())
                output = self._forward(self._moved(images[part]), self._moved(labels[part]))
                (output.loss / self._parts).backward()  # type: ignore[no-untyped-call]
            values += torch.stack([output.loss.detach(), output.accuracy, output.target_cosine]) / self._parts
        state.optimiser.step(learning_rate)
        if state.average is not None:
            state.average.update_parameters(state.network)
        return values

    def _forward(self, images_BHW3: Tensor, labels_B: Tensor) -> CosFaceOutput:
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            features_BD = self._network(images_BHW3)
        output: CosFaceOutput = self._head(features_BD, labels_B)
        return output

    def _moved(self, values: NDArray[np.uint8] | NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(values)
        if self._device.type == "cuda":
            # Pinned memory lets the copy run concurrently with the previous step.
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)
