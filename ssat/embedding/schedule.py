"""Learning rate as a function of the step."""

from __future__ import annotations

import math

from ssat.embedding.settings import TrainSettings


def learning_rate_at(step: int, total_steps: int, settings: TrainSettings) -> float:
    """Learning rate of `step` (0-based) of `total_steps`.

    `step`: divided by 10 every `step_epochs` epochs (paper, "Implementation details"). `cosine`: linear from 1/25 of
    the highest rate over the warm-up, then half a cosine down to 0.
    """
    peak = settings.learning_rate
    if settings.schedule == "step":
        epoch = step * settings.epochs // total_steps
        return peak * 0.1 ** (epoch // settings.step_epochs)
    warm = int(settings.warmup * total_steps)
    if step < warm:
        return peak * (0.04 + 0.96 * step / warm)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total_steps - warm)))
