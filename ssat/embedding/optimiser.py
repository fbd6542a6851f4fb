"""SGD with momentum over the network and the head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssat.embedding.head import Head
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.settings import OptimiserSettings
from ssat.embedding.sharded_head import ShardedCosFaceHead


class Optimiser:
    """Optimiser of the network and of this process's class weights."""

    def __init__(self, settings: OptimiserSettings, network: EmbeddingNetwork, head: Head) -> None:
        self._settings = settings
        self._network = network
        self._head = head
        trained = [*network.parameters(), *(p for p in head.parameters() if p.requires_grad)]
        # Every step sets the rate.
        self._sgd = torch.optim.SGD(trained, 0.0, settings.momentum, weight_decay=settings.weight_decay)

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        self._sgd.zero_grad(set_to_none=True)

    def step(self, learning_rate: float) -> None:
        """Move the weights."""
        settings = self._settings
        if settings.clip_gradient is not None:
            nn.utils.clip_grad_norm_(self._network.parameters(), settings.clip_gradient)
        for group in self._sgd.param_groups:
            group["lr"] = learning_rate
        self._sgd.step()
        if isinstance(self._head, ShardedCosFaceHead):
            self._head.apply_gradient(learning_rate, settings.momentum, settings.weight_decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the momentum of each parameter of the network; empty before the first step."""
        momenta = ((name, self._momentum(parameter)) for name, parameter in self._network.named_parameters())
        return {name: momentum for name, momentum in momenta if momentum is not None}

    def load_state_dict(self, momenta: Mapping[str, Tensor]) -> None:
        """Take what `state_dict` gave."""
        for name, momentum in momenta.items():
            parameter = self._network.get_parameter(name)
            # The memory layout decides the order of sums, and so the last bits of the results.
            self._sgd.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum).detach()

    @property
    def head_momentum(self) -> Tensor | None:
        """Momentum of this process's class weights (rows, 512); None before the first step."""
        if self._head_keeps_momentum:
            return self._head.momentum_rows  # type: ignore[return-value]
        return self._momentum(self._head.weight)

    def load_head_momentum(self, momentum: Tensor) -> None:
        """Take what `head_momentum` gave."""
        momentum = momentum.to(self._head.weight.device)
        if self._head_keeps_momentum:
            self._head.momentum_rows.copy_(momentum)  # type: ignore[operator]
        else:
            self._sgd.state[self._head.weight]["momentum_buffer"] = momentum

    @property
    def _head_keeps_momentum(self) -> bool:
        return isinstance(self._head, ShardedCosFaceHead) and self._head.samples_negatives

    def _momentum(self, parameter: nn.Parameter) -> Tensor | None:
        buffer: Tensor | None = self._sgd.state[parameter].get("momentum_buffer")
        return buffer
