"""Settings of the benchmark stage and of tracking a video."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ssat.mot.protocols import Protocol
from ssat.mot.splits import Split
from ssat.settings import StageSettings
from ssat.tracking.config import TrackerConfig


class BenchmarkSettings(StageSettings):
    """Which sequences are tracked, by what, and how the result is scored."""

    section = "benchmark"

    mot: str = Field(description="MOTChallenge sequence, or a folder of them (SEQ/seqinfo.ini, det/, gt/, img1/)")
    sequences: tuple[str, ...] = Field(default=(), description="Only these sequences; by default all of the folder")
    split: Split = Field(default="val-half", description="train: whole sequences; val-half: the later half of each")
    detections: str = Field(
        default="public", description="public: det/det.txt; else a file's name in each sequence's det folder"
    )
    min_score: float | None = Field(default=None, description="Leave out detections that score less; by default none")
    tracker: Literal["ssat", "box"] = Field(
        default="ssat", description="ssat: appearance and box; box: the box term alone, no network"
    )
    embedder: str | None = Field(
        default=None,
        description="MLflow run, safetensors file or `untrained`; by default the workspace's latest training",
    )
    protocol: Protocol = Field(
        default="centertrack-half",
        description="centertrack-half: every labelled box counts; motchallenge: pedestrians, distractors removed",
    )
    video: bool = Field(default=True, description="Write an annotated mp4 of every sequence that has frames")
    association: TrackerConfig = Field(default=TrackerConfig(), description="Constants and switches of the tracker")


class TrackSettings(StageSettings):
    """How one video, image folder or sequence is tracked."""

    section = "track"

    detections: str | None = Field(
        default=None,
        description="MOTChallenge text file (frame, -1, left, top, width, height, score); a MOTChallenge sequence "
        "has its own public ones",
    )
    min_score: float | None = Field(default=None, description="Leave out detections that score less; by default none")
    tracker: Literal["ssat", "box"] = Field(
        default="ssat", description="ssat: appearance and box; box: the box term alone, no network"
    )
    embedder: str | None = Field(
        default=None,
        description="MLflow run, safetensors file or `untrained`; by default the workspace's latest training",
    )
    frame_rate: float | None = Field(
        default=None, gt=0, le=10_000, description="Frames per second; by default the input's own, 30 for images"
    )
    video: bool = Field(default=True, description="Write an annotated mp4")
    association: TrackerConfig = Field(default=TrackerConfig(), description="Constants and switches of the tracker")
