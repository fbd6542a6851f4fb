"""Learning rate and margin as functions of how far the training has come."""

from __future__ import annotations

import math

from ssat.embedding.settings import TrainSettings


def learning_rate_at(progress: float, settings: TrainSettings) -> float:
    """Learning rate where the share `progress` (0 … 1) of all steps is done; independent of the number of workers.

    `step`: divided by 10 every `step_epochs` epochs (paper, "Implementation details"). `cosine`: linear from 1/25 of
    the highest rate over the warm-up, then half a cosine down to 0.
    """
    peak = settings.learning_rate
    if settings.schedule == "step":
        # The sum of epoch and share of an epoch may fall short of a whole number by a rounding error.
        epoch = int(progress * settings.epochs + 1e-6)
        return peak * 0.1 ** (epoch // settings.step_epochs)
    if progress < settings.warmup:
        return peak * (0.04 + 0.96 * progress / settings.warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup)))


def margin_at(progress: float, settings: TrainSettings) -> float:
    """CosFace margin where the share `progress` of all steps is done: grows from 0 over `margin_warmup`."""
    if progress < settings.margin_warmup:
        return settings.margin * progress / settings.margin_warmup
    return settings.margin
