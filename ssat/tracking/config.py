"""Settings of the tracker: the paper's constants and its switches."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

# Those that look at appearance come first; `ssat.tracking.baselines` says where each is from.
TrackerName = Literal["ssat", "deepsort", "box", "centertrack", "sort", "bytetrack", "oc-sort"]
_BEYOND = ("motion", "camera_motion", "low_score")  # not the method's: `TrackerConfig.extensions` names them
# What the preset `quick` takes instead: a feature that was trained for minutes needs a box term that gates.
QUICK_ALPHA = 1.0


class TrackerConfig(BaseModel):
    """How detections are associated with tracks. The defaults are the paper's (section 3.3)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tau1: float = Field(
        default=0.56, gt=0, description="Round 1, detections and tracked tracks: pairs nearer than this match"
    )
    tau2: float = Field(default=0.64, gt=0, description="Round 2, remaining detections and lost tracks: the same")
    alpha: float = Field(
        default=2.0, gt=0, description="Box distances are divided by alpha times the track's perimeter"
    )
    beta: float = Field(
        default=0.4, ge=0, le=1, description="Weight of the new feature when a track's feature accumulates"
    )
    lost_seconds: float = Field(
        default=1.0, ge=0, description="How long a track that nothing matches can be found again"
    )
    box_term: bool = Field(default=True, description="Add the box distance to the appearance distance")
    accumulate: bool = Field(
        default=True, description="Accumulate a track's feature; off: the newest feature replaces it"
    )
    assignment: Literal["greedy", "hungarian"] = Field(
        default="greedy", description="greedy: nearest pair first; hungarian: smallest sum of distances"
    )
    motion: Literal["none", "kalman"] = Field(
        default="none",
        description="Beyond the paper: kalman measures the box distance from where a track would be at its speed",
    )
    camera_motion: bool = Field(
        default=False, description="Beyond the paper: move the tracks with the background before each frame"
    )
    low_score: float | None = Field(
        default=None,
        description="Beyond the paper: detections that score less only continue tracks, in a last round; by default "
        "all detections are alike",
    )

    @property
    def departures(self) -> tuple[str, ...]:
        """Constants and switches of the method that are not the paper's: with any of them it is no reproduction."""
        given = self.model_dump(exclude=set(_BEYOND))
        paper = TrackerConfig().model_dump()
        return tuple(
            f"{name} {value} instead of {paper[name]}" for name, value in given.items() if value != paper[name]
        )

    @property
    def extensions(self) -> tuple[str, ...]:
        """What is switched on beyond the paper; a result with any of it is no reproduction."""
        names = [f"motion {self.motion}"] if self.motion != "none" else []
        if self.camera_motion:
            names.append("camera motion")
        if self.low_score is not None:
            names.append(f"low score {self.low_score:g}")
        return tuple(names)
