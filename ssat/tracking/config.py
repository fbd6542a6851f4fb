"""Settings of the tracker: the paper's constants and its switches."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

# Those that use appearance come first; `ssat.tracking.baselines` says where each is from.
TrackerName = Literal["ssat", "deepsort", "box", "centertrack", "sort", "bytetrack", "oc-sort"]
# Not the method's: `TrackerConfig.extensions` names them.
_BEYOND = ("motion", "camera_motion", "low_score")
# The later ones; records leave them out at their defaults, so results from before they existed keep their identity.
_LATER = (
    "calibrate",
    "stored_median",
    "missing_appearance_cost",
    "motion_gate",
    "hold_size",
    "weak_penalty",
    "overlap_pass",
    "confirm_hits",
    "gallery",
    "remember_seconds",
    "false_join_rate",
)
# What the preset `quick` takes instead: a feature that was trained for minutes needs a box term that gates.
QUICK_ALPHA = 1.0
# The preset `strong`: for good tracks of any feature, not for reproduction.
STRONG: dict[str, Any] = {
    "tau2": 0.8,
    "alpha": 0.4,
    "beta": 0.1,
    "lost_seconds": 3.0,
    "motion": "kalman",
    "motion_gate": True,
    "hold_size": True,
    "camera_motion": True,
    "calibrate": True,
    "missing_appearance_cost": 0.3,
    "overlap_pass": 0.4,
    "confirm_hits": 3,
}


class TrackerConfig(BaseModel):
    """Settings of the association. The defaults are the paper's (section 3.3)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tau1: float = Field(
        default=0.56,
        gt=0,
        description="Threshold of pass 1 (detections, tracked tracks): pairs with a smaller cost match",
    )
    tau2: float = Field(default=0.64, gt=0, description="Threshold of pass 2 (remaining detections, lost tracks)")
    alpha: float = Field(default=2.0, gt=0, description="The box cost is divided by alpha times the track's perimeter")
    beta: float = Field(
        default=0.4, ge=0, le=1, description="Weight of the new feature when a track's feature accumulates"
    )
    lost_seconds: float = Field(default=1.0, ge=0, description="Time for which an unmatched track can be found again")
    box_term: bool = Field(default=True, description="Add the box cost to the appearance cost")
    accumulate: bool = Field(
        default=True, description="Accumulate a track's feature; off: the newest feature replaces it"
    )
    assignment: Literal["greedy", "hungarian", "mutual"] = Field(
        default="greedy",
        description="greedy: nearest pair first; hungarian: smallest sum of costs; mutual, beyond the paper: pairs "
        "that are each other's nearest, in rounds with a falling threshold",
    )
    motion: Literal["none", "kalman"] = Field(
        default="none",
        description="Beyond the paper: kalman measures the box cost from the position predicted at constant velocity",
    )
    camera_motion: bool = Field(
        default=False, description="Beyond the paper: move the tracks with the background before each frame"
    )
    low_score: float | None = Field(
        default=None,
        description="Beyond the paper: detections that score less only continue tracks, in a last pass; by default "
        "all detections are equal",
    )

    calibrate: bool = Field(
        default=False,
        description="Beyond the paper: scale the appearance cost so that different people of one frame are 0.8 "
        "apart in the running median",
    )
    stored_median: float | None = Field(
        default=None, gt=0, description="Median appearance cost of different people from which calibrate starts"
    )
    missing_appearance_cost: float = Field(
        default=0.0,
        ge=0,
        description="Beyond the paper: appearance cost of a pair with a missing appearance, such as every pair where "
        "boxes alone are tracked",
    )
    motion_gate: bool = Field(
        default=False, description="Beyond the paper: forbid pairs that are improbable under the Kalman filter"
    )
    hold_size: bool = Field(
        default=False, description="Beyond the paper: lost tracks keep their size under the Kalman filter"
    )
    weak_penalty: float | None = Field(
        default=None,
        ge=0,
        description="Beyond the paper: detections below low_score join the first pass, with this added to their cost",
    )
    overlap_pass: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Beyond the paper: a last pass by box alone for tracks matched in the previous frame, from "
        "this overlap (IoU) on; 1: no such pass",
    )
    confirm_hits: int = Field(
        default=1,
        ge=1,
        description="Beyond the paper: show a new track from this number of consecutive matches on; 1: at once",
    )
    gallery: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Beyond the paper: compare with this number of past features too, and take the nearest; 0: "
        "the mean only",
    )

    remember_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Beyond the paper: people who return within this time after their track ended get their identity "
        "back; 0: ended tracks are not remembered",
    )
    false_join_rate: float = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="With remember_seconds: share of new tracks that may get another person's identity, by the "
        "distances of people of one frame",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.motion_gate and self.motion == "none":
            raise ValueError("motion_gate needs motion kalman")
        if self.hold_size and self.motion == "none":
            raise ValueError("hold_size needs motion kalman")
        if self.weak_penalty is not None and self.low_score is None:
            raise ValueError("weak_penalty needs low_score, which says what is weak")
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name not in _LATER or value != fields[name].default}

    @classmethod
    def strong(cls, **changes: object) -> Self:
        """Return the preset `strong`, with some settings changed. Beyond the paper."""
        return cls.model_validate(STRONG | changes)

    @property
    def departures(self) -> tuple[str, ...]:
        """Constants and switches of the method that are not the paper's: with any of them it is no reproduction."""
        given = self.model_dump(exclude={*_BEYOND, *_LATER})
        paper = TrackerConfig().model_dump()
        return tuple(
            f"{name} {value} instead of {paper[name]}" for name, value in given.items() if value != paper[name]
        )

    @property
    def extensions(self) -> tuple[str, ...]:
        """Options beyond the paper that are switched on; a result with any of them is no reproduction."""
        names = [f"motion {self.motion}"] if self.motion != "none" else []
        if self.camera_motion:
            names.append("camera motion")
        if self.low_score is not None:
            names.append(f"low score {self.low_score:g}")
        fields = type(self).model_fields
        later = {name: getattr(self, name) for name in _LATER if getattr(self, name) != fields[name].default}
        names += [name.replace("_", " ") + ("" if value is True else f" {value:g}") for name, value in later.items()]
        return tuple(names)
