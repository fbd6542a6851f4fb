"""Settings of the demo's world."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ssat.settings import StageSettings


class DemoSettings(StageSettings):
    """Size of the rendered world and of the training; the defaults take less than five minutes on two cores."""

    section: ClassVar[str] = "demo"

    seed: int = Field(0, ge=0, description="Seed of the world: places, figures, walks, light and detector")
    clips: int = Field(36, ge=24, le=999, description="Unlabelled clips to render; a class each, save those held out")
    held_out_clips: int = Field(4, ge=2, le=12, description="Clips kept out of training for the retrieval score")
    clip_seconds: float = Field(4.0, ge=3, le=10, description="Length of a clip, in seconds")
    places: int = Field(8, ge=1, description="Places where the clips are taken; several clips share one")
    frames: int = Field(150, ge=20, le=9999, description="Frames of each of the two MOT sequences")
    figures: int = Field(8, ge=2, le=50, description="Figures in each MOT sequence")
    epochs: int = Field(16, ge=1, description="Epochs of training")
