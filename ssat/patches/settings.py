"""Settings of learning from followed patches."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ssat.setting_marks import Runtime
from ssat.settings import StageSettings


class FollowSettings(BaseModel):
    """Choice and duration of the followed patches of a clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_clip: int = Field(default=12, ge=1, le=200, description="Patches followed in a clip at most; moving ones first")
    min_seconds: float = Field(default=1.0, gt=0, description="Patches that are lost earlier are left out")
    max_seconds: float = Field(default=5.0, gt=0, description="Patches are followed for so long at most")
    boxes: int = Field(default=12, ge=2, le=100, description="Boxes kept of each patch, spread over its time")
    seed: int = Field(default=0, ge=0, description="Of the boxes that are tried; each clip has its own sequence")


class ColoursSettings(StageSettings):
    """Colour features learned from followed patches of the clips in about a minute (beyond the paper)."""

    section: ClassVar[str] = "colours"

    clips: int | None = Field(
        None, ge=2, description="Clips to learn from: class ids 0 … N-1; by default all but held out"
    )
    held_out_clips: int = Field(
        16, ge=0, description="Clips kept out for the score: the class ids after the training ones"
    )
    follow: FollowSettings = Field(FollowSettings(), description="Which patches are followed")
    views: int = Field(3, ge=2, description="Views of each patch, far apart in time")
    shrinkage: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Shrinkage of the within-class covariance to equal variance in all directions; 1: fully",
    )
    seed: int = Field(default=0, ge=0, description="Of the cells and of the views")
    workers: Annotated[int, Runtime()] = Field(
        default=0, ge=0, description="Clips processed at the same time; 0: as many as there are CPUs"
    )
