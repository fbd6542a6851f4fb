"""Settings of the climb from few clips to many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from ssat.settings import StageSettings

# Section 4.2 of the paper ends at 1,600 clips; the lists of Kinetics hold about 500,000.
LADDER = (160, 800, 1_600, 8_000, 40_000, 200_000, 500_000)


class ScaleSettings(StageSettings):
    """Ladder of training sizes, and the budgets of a run.

    A rung is reached when its clips are collected, decoded and trained on and the embedder is benchmarked. Started
    again, a run continues where the last one stopped.
    """

    section: ClassVar[str] = "scale"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    ladder: tuple[int, ...] = Field(LADDER, description="Training clips of each rung, ascending")
    rungs: int = Field(1, ge=1, description="Maximum number of rungs of a run")
    hours: float | None = Field(
        None, gt=0, description="Maximum hours of a run; it stops between shards, or before a stage that would not fit"
    )
    gib: float | None = Field(
        None, gt=0, description="Most that clips and frames together may take on the disk, in GiB"
    )
    failures: int | None = Field(
        None,
        ge=1,
        description="Maximum number of clips of a run that fail for other reasons than an unavailable video",
    )
    warm_start: bool = Field(True, description="Start each training from that of the previous rung")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.ladder or self.ladder[0] < 2 or list(self.ladder) != sorted(set(self.ladder)):
            raise ValueError(
                f"ladder {', '.join(map(str, self.ladder)) or '(empty)'}: expected ascending numbers, from 2 on"
            )
        return self
