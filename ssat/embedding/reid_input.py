"""Input of a foreign re-identification network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class PatchFormat:
    """Size (height, width) of patches in pixels, normalisation and order of the channels; see `ReidInput`."""

    size: tuple[int, int] = (256, 128)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"


class ReidInput(BaseModel):
    """Input of a network, as far as it is known.

    The float layouts get (pixel / 255 − mean) / std; the uint8 layout gets the pixels as they are. What the file's
    shape says has precedence over `size`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int] | None = Field(
        default=None,
        description="Height and width of the patches of an ONNX network that leaves them open, pixels; by default its "
        "metadata, else 256 128",
    )
    mean: tuple[float, float, float] | None = Field(
        default=None,
        description="Subtracted from pixel / 255 per channel; by default the file's metadata, else ImageNet's",
    )
    std: tuple[float, float, float] | None = Field(default=None, description="Divides the difference, likewise")
    channels: Literal["rgb", "bgr"] | None = Field(
        default=None, description="Order of the channels; by default the file's metadata, else rgb"
    )

    def over(self, other: PatchFormat) -> PatchFormat:
        """Return the values of this one, and those of `other` where this one has none."""
        return PatchFormat(**{**asdict(other), **self.model_dump(exclude_none=True)})


# What torchreid, FastReID and BoxMOT share.
USUAL_FORMAT = PatchFormat()
