"""Learning rate and margin as functions of how far the training has come."""

from __future__ import annotations

import math

from ssat.embedding.settings import HeadSettings, ScheduleSettings


def learning_rate_at(progress: float, schedule: ScheduleSettings) -> float:
    """Return the learning rate where the share `progress` (0 … 1) of all steps is done.

    `step`: divided by 10 every `step_epochs` epochs (paper, "Implementation details"). `cosine`: linear from 1/25 of
    the highest rate over the warm-up, then half a cosine down to 0.
    """
    peak = schedule.learning_rate
    if schedule.kind == "step":
        # The sum of epoch and share of an epoch may fall short of a whole number by a rounding error.
        epoch = int(progress * schedule.epochs + 1e-6)
        return peak * 0.1 ** (epoch // schedule.step_epochs)
    if progress < schedule.warmup:
        return peak * (0.04 + 0.96 * progress / schedule.warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - schedule.warmup) / (1 - schedule.warmup)))


def margin_at(progress: float, head: HeadSettings) -> float:
    """Return the CosFace margin where the share `progress` of all steps is done: from 0 over `margin_warmup`."""
    if progress < head.margin_warmup:
        return head.margin * progress / head.margin_warmup
    return head.margin
