"""Further evaluations of a training, as its settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError

if TYPE_CHECKING:
    from ssat.embedding.embedder import Embedder
    from ssat.embedding.train_loop import Evaluate
    from ssat.pipeline.probe_evaluation import ProbeEvaluation


def evaluation_of(settings: TrainSettings) -> Evaluate | None:
    """Return what scores an embedder as the settings ask for, opened and checked; None if they ask for nothing.

    Raises:
        InputError: a folder that cannot be used, named with its setting.
    """
    parts: list[Evaluate] = []
    if settings.evaluation.mot is not None:
        from ssat.pipeline.mot_evaluation import MotEvaluation

        parts.append(MotEvaluation(Path(settings.evaluation.mot).expanduser()))
    if (probe := probe_of_settings(settings)) is not None:
        parts.append(probe)
    if not parts:
        return None

    def evaluate(embedder: Embedder) -> Mapping[str, float]:
        return {name: value for part in parts for name, value in part(embedder).items()}

    return evaluate


def probe_of_settings(settings: TrainSettings) -> ProbeEvaluation | None:
    """Return the probe on the footage of setting `train.probe`, or None without it.

    Raises:
        InputError: footage that cannot be probed.
    """
    if settings.evaluation.probe is None:
        return None
    from ssat.pipeline.probe_evaluation import ProbeEvaluation

    try:
        return ProbeEvaluation(Path(settings.evaluation.probe).expanduser())
    except InputError as error:
        raise InputError(f"setting train.probe: {error}") from error
