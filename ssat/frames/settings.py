"""Settings of the decode stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssat.setting_marks import Runtime, without
from ssat.settings import StageSettings


class DecodeSettings(StageSettings):
    """Settings of the rows of the frame store.

    All fields but those marked `Runtime` decide what the store holds: change one, and the shards are decoded again.
    """

    section: ClassVar[str] = "decode"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"frame_stride": 1},
        # Neighbouring frames are near-duplicates: a fifth of them trains a small network equally well.
        "quick": {"frame_stride": 5},
    }

    shard_clips: int = Field(160, ge=1, le=10_000, description="Clips in a shard of the store.")
    short_side: int = Field(
        256, ge=16, le=4096, description="Short side of a stored frame in pixels; smaller clips are kept as they are."
    )
    quality: int = Field(90, ge=1, le=100, description="JPEG quality of a stored frame.")
    frame_stride: int = Field(1, ge=1, le=1000, description="Store every n-th frame of a clip.")
    max_frames: int | None = Field(None, ge=1, description="Store at most this many frames of a clip, from its start.")
    seed: int = Field(0, ge=0, description="Seed of the permutation of the rows in a shard.")
    workers: Annotated[int, Runtime()] = Field(
        0, ge=0, description="Clips decoded at the same time; 0: as many as there are CPUs."
    )
    dry_writer: Annotated[bool, Runtime()] = Field(
        False, description="Decode and encode every clip and discard the result: measures decoding alone."
    )

    def content(self) -> dict[str, int | None]:
        """Return the settings that decide what the store holds, as they stand in its manifest."""
        return without(self, Runtime)


class VerifySettings(StageSettings):
    """Thoroughness of the check of the frame store, and repair."""

    section: ClassVar[str] = "verify"

    sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the JPEGs that are decoded; digests, checksums and headers are checked of all",
    )
    repair: bool = Field(False, description="Decode the clips of broken shards again")
