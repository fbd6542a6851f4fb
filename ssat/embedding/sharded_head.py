"""The CosFace head with its classes divided among the ranks: 500,000 classes fit, without gradient exchange.

Each rank holds a consecutive share of the class weights. Features are gathered, each rank computes the cosines with
its own classes for the whole batch, and the softmax is put together from three small reductions. Loss and gradients
equal those of the dense head under data-parallel training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional

from ssat.embedding.cosface import CosFaceOutput, initial_rows


def shard_rows(classes: int, rank: int, world: int) -> range:
    """Return the classes that `rank` holds: consecutive, sizes that differ by at most one."""
    return range(rank * classes // world, (rank + 1) * classes // world)


class ShardedCosFaceHead(nn.Module):
    """This rank's share of a CosFace head; every rank of the group calls it with its own part of the batch.

    The loss it gives is that of the whole batch, the same on every rank. Its gradient with respect to the features is
    multiplied by the number of ranks, because data-parallel training divides by it.

    With `negative_share` below 1 only the classes of the batch and a random choice of others take part in a step
    (Partial FC, An et al. 2021); `apply_gradient` then moves just their weights, as SGD with momentum does.
    """

    momentum_rows: Tensor

    def __init__(
        self,
        classes: int,
        group: dist.ProcessGroup | None = None,
        *,
        scale: float,
        margin: float,
        seed: int = 0,
        negative_share: float = 1.0,
    ) -> None:
        super().__init__()
        # One rank needs no collectives.
        group = None if group is None or group.size() == 1 else group
        rank, world = (group.rank(), group.size()) if group is not None else (0, 1)
        self.scale = scale
        self.margin = margin
        self.rows = shard_rows(classes, rank, world)
        self._group = group
        self._seed = seed * world + rank + 1
        self._negative_share = negative_share
        self._active: tuple[Tensor, Tensor] | None = None
        self._step = 0
        self.weight = nn.Parameter(
            initial_rows(self.rows.start, self.rows.stop, seed), requires_grad=negative_share == 1
        )
        if negative_share < 1:
            self.register_buffer("momentum_rows", torch.zeros_like(self.weight))

    def forward(self, features_BD: Tensor, labels_B: Tensor) -> CosFaceOutput:
        with torch.autocast(features_BD.device.type, enabled=False):
            features_MD = _GatherFeatures.apply(functional.normalize(features_BD.float()), self._group)
            labels_M = _gather(labels_B, self._group)
            weight_ND, own_M = self._take_part(labels_M)
            cosine_MN = features_MD @ functional.normalize(weight_ND.float()).T
            mine_M = (own_M >= 0).nonzero().squeeze(1)
            target_K = cosine_MN[mine_M, own_M[mine_M]]
            shifted_MN = cosine_MN.index_put((mine_M, own_M[mine_M]), target_K - self.margin)
            loss = _ShardedCrossEntropy.apply(self.scale * shifted_MN, own_M, self._group)
        with torch.no_grad():
            target_M = torch.full_like(cosine_MN[:, 0], -2.0)
            target_M[mine_M] = target_K
            both_2M = torch.stack([target_M, cosine_MN.amax(1)])
            target_M, best_M = _reduced(both_2M, dist.ReduceOp.MAX, self._group)
        return CosFaceOutput(loss, (target_M >= best_M).float().mean(), target_M.mean())

    def _take_part(self, labels_M: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class weights of this step, and for each label its row among them (-1: another rank's class)."""
        own_M = torch.where((labels_M >= self.rows.start) & (labels_M < self.rows.stop), labels_M - self.rows.start, -1)
        if self._negative_share == 1:
            return self.weight, own_M
        positive = own_M[own_M >= 0].unique()  # type: ignore[no-untyped-call]
        wanted = max(len(positive), round(self._negative_share * len(self.rows)))
        # The draw follows from seed, rank and step, so that a resumed training draws the same.
        generator = torch.Generator().manual_seed((self._seed * 2**32 + self._step) % 2**63)
        chance = torch.rand(len(self.rows), generator=generator).to(self.weight.device)
        chance[positive] = 2.0
        rows = chance.topk(wanted).indices.sort().values
        active = self.weight.detach()[rows].requires_grad_(True)
        self._active = (rows, active)
        return active, torch.where(own_M >= 0, torch.searchsorted(rows, own_M.clamp_min(0)), -1)

    @property
    def samples_negatives(self) -> bool:
        """Whether only some classes take part in a step."""
        return self._negative_share < 1

    def start_step(self, step: int) -> None:
        """Set the number of the step, which the choice of negative classes depends on."""
        self._step = step

    @torch.no_grad()
    def apply_gradient(self, learning_rate: float, momentum: float, weight_decay: float) -> None:
        """SGD with momentum on the classes that took part; does nothing where all classes do (an optimiser's work)."""
        if self._active is None:
            return
        rows, active = self._active
        self._active = None
        gradient = active.grad
        if gradient is None:
            return
        velocity = momentum * self.momentum_rows[rows] + gradient + weight_decay * active.detach()
        self.momentum_rows[rows] = velocity
        self.weight[rows] = active.detach() - learning_rate * velocity


class _GatherFeatures(torch.autograd.Function):
    """Features of all ranks, in their order; backward gives each rank the sum of what all ranks say of its own."""

    @staticmethod
    def forward(ctx: Any, features_BD: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        return _gather(features_BD, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient_MD,) = gradients
        if ctx.group is None:
            return gradient_MD, None
        world, rank = ctx.group.size(), ctx.group.rank()
        total_MD = _reduced(gradient_MD.contiguous(), dist.ReduceOp.SUM, ctx.group)
        return total_MD.chunk(world)[rank] * world, None


class _ShardedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of a softmax whose columns lie on several ranks."""

    @staticmethod
    def forward(ctx: Any, logits_MN: Tensor, own_M: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        mine_M = (own_M >= 0).nonzero().squeeze(1)
        highest_M = _reduced(logits_MN.amax(1), dist.ReduceOp.MAX, group)
        exponential_MN = (logits_MN - highest_M[:, None]).exp_()
        target_M = torch.zeros_like(highest_M)
        target_M[mine_M] = logits_MN[mine_M, own_M[mine_M]]
        sums_2M = _reduced(torch.stack([exponential_MN.sum(1), target_M]), dist.ReduceOp.SUM, group)
        ctx.save_for_backward(exponential_MN.div_(sums_2M[0][:, None]), own_M, mine_M)
        loss: Tensor = (sums_2M[0].log() + highest_M - sums_2M[1]).mean()
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        probability_MN, own_M, mine_M = ctx.saved_tensors
        gradient_MN = probability_MN.clone()
        gradient_MN[mine_M, own_M[mine_M]] -= 1
        return gradient_MN.mul_(gradients[0] / len(own_M)), None, None


def _gather(values: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    if group is None:
        return values
    parts = [torch.empty_like(values) for _ in range(group.size())]
    dist.all_gather(parts, values.contiguous(), group=group)
    return torch.cat(parts)


def _reduced(values: Tensor, operation: Any, group: dist.ProcessGroup | None) -> Tensor:
    if group is not None:
        values = values.clone()
        dist.all_reduce(values, operation, group=group)
    return values
