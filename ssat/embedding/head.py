"""The classification head of a training: dense, or dealt over the processes."""

from __future__ import annotations

from torch import distributed as dist

from ssat.embedding.cosface import CosFaceHead
from ssat.embedding.settings import HeadSettings
from ssat.embedding.sharded_head import ShardedCosFaceHead

Head = CosFaceHead | ShardedCosFaceHead

# Above it, sending the gradients of a dense head costs more than gathering features.
_SHARDED_FROM = 16_384


def build_head(settings: HeadSettings, classes: int, seed: int, group: dist.ProcessGroup | None) -> Head:
    """Return the head of `classes` classes, or this process's share of it."""
    world = group.size() if group is not None else 1
    sharded = settings.placement == "sharded" or settings.negative_share < 1
    if settings.placement == "auto" and world > 1 and classes >= _SHARDED_FROM:
        sharded = True
    if not sharded:
        return CosFaceHead(classes, scale=settings.scale, margin=settings.margin, seed=seed)
    return ShardedCosFaceHead(
        classes,
        group,
        scale=settings.scale,
        margin=settings.margin,
        seed=seed,
        negative_share=settings.negative_share,
    )
