"""Settings of the classes of the pretext training: whole clips, or followed patches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssat.settings import Component, FlatName, OmittedAtDefault


class InstanceSettings(Component):
    """The classes, and the views of followed patches. All but `kind` apply to kind `patch` only.

    At its default a field is left out of records: trainings from before it existed keep their identity.
    """

    kind: Annotated[Literal["clip", "patch"], FlatName("instances"), OmittedAtDefault()] = Field(
        default="clip",
        description="What a class is. clip: the frames of a clip, as in the paper. patch, beyond the paper: a box that "
        "optical flow follows through a clip",
    )
    patches_per_clip: Annotated[int, OmittedAtDefault()] = Field(
        default=12, ge=1, le=200, description="Patches: followed in a clip at most; moving ones first"
    )
    per_frame: Annotated[int, FlatName("instances_per_frame"), OmittedAtDefault()] = Field(
        default=4,
        ge=1,
        le=64,
        description="Crops of each drawn frame (instances patch), of different patches if possible",
    )
    background: Annotated[float, FlatName("replace_background"), OmittedAtDefault()] = Field(
        default=0.7, ge=0, le=1, description="Patches: share of crops whose background is replaced"
    )
    cover: Annotated[float, FlatName("cover"), OmittedAtDefault()] = Field(
        default=0.0, ge=0, le=1, description="Patches: share of crops that another patch partly covers"
    )
    misplace: Annotated[float, FlatName("misplace"), OmittedAtDefault()] = Field(
        default=0.08,
        ge=0,
        le=0.1,
        description="Patches: farthest misplacement of a crop, as a share of the box; its size errs by half more",
    )
    blur: Annotated[float, FlatName("blur"), OmittedAtDefault()] = Field(
        default=0.5, ge=0, le=1, description="Patches: share of crops that lose resolution, 1.2 to 4 times"
    )
