"""Settings of the refinement and of the detectors off the shelf."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ssat.setting_marks import ByContent, LocalPath

Refine = Literal["none", "frozen", "closed-loop"]
DetectorName = Literal["fasterrcnn", "retinanet", "fcos"]


class RefinementSettings(BaseModel):
    """Settings of CenterTrack's network. The defaults are the paper's, except for `input`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Annotated[str | None, ByContent(), LocalPath()] = Field(
        default=None, description="The published checkpoint; by default models/mot17_half.pth in the workspace"
    )
    input: Literal["letterbox", "published"] = Field(
        default="letterbox",
        description="letterbox: the whole frame; published: as the published results, which cut 4:3 frames",
    )
    threshold: float = Field(default=0.4, ge=0, lt=1, description="Detections must score more than this")
    prior_threshold: float = Field(
        default=0.5, ge=0, le=1, description="Tracks that score less are not drawn into the prior heatmap"
    )
    births: Literal["public", "free"] = Field(
        default="public",
        description="Where a new track may start; public: only near a public detection; free: anywhere",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="auto: float16 on a GPU, float32 on a CPU"
    )
    batch: int = Field(default=4, ge=1, le=64, description="Frames per batch, in pairwise mode (frozen)")
