"""Settings of the benchmark stage and of tracking a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ssat.detection.settings import DetectorName, Refine, RefinementSettings
from ssat.embedding.reid_input import ReidInput
from ssat.embedding.settings import Precision
from ssat.mot.protocols import Protocol
from ssat.mot.splits import Split
from ssat.settings import StageSettings
from ssat.tracking.config import QUICK_ALPHA, TrackerConfig, TrackerName

_PRESETS = {"quick": {"association": {"alpha": QUICK_ALPHA}}, "paper": {}}


class BenchmarkSettings(StageSettings):
    """Which sequences are tracked, by what, and how the result is scored."""

    section = "benchmark"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    mot: str = Field(
        description="MOTChallenge sequence, a folder of them (SEQ/seqinfo.ini, det/, gt/, img1/), or KITTI tracking"
    )
    sequences: tuple[str, ...] = Field(
        default=(), description="Only these sequences, or patterns such as `*-FRCNN`; by default all of the folder"
    )
    split: Split = Field(
        default="val-half",
        description="train: whole sequences; val-half: the later half of each; train-half: the half before; test: "
        "without labels, for the server",
    )
    detections: str = Field(
        default="public", description="public: det/det.txt; else a file's name in each sequence's det folder"
    )
    detector: DetectorName | None = Field(
        default=None, description="Detect people with torchvision's network of that name, trained on COCO"
    )
    detector_score: float = Field(default=0.5, ge=0, le=1, description="Detections of --detector must score this")
    refine: Refine = Field(
        default="none",
        description="CenterTrack's network detects: frozen, by pairs of frames; closed-loop, led by the tracks as well",
    )
    refinement: RefinementSettings = Field(default=RefinementSettings(), description="How that network is run")
    min_score: float | None = Field(default=None, description="Leave out detections that score less; by default none")
    tracker: TrackerName = Field(
        default="ssat",
        description="ssat: appearance and box; box: the box term alone, no network; the others for comparison",
    )
    embedder: str | None = Field(
        default=None,
        description="MLflow run, file (safetensors, ONNX), `colour` (a histogram), `imagenet`, `untrained`, or several "
        "with weights (0.3*colour+0.7*RUN); by default the workspace's latest training",
    )
    reid: ReidInput = Field(default=ReidInput(), description="How a foreign ONNX network wants its patches")
    protocol: Protocol = Field(
        default="centertrack-half",
        description="centertrack-half: every labelled box counts; motchallenge: pedestrians, distractors removed",
    )
    video: bool = Field(default=True, description="Write an annotated mp4 of every sequence that has frames")
    side_by_side: Literal["auto", "always", "never"] = Field(
        default="auto", description="Sequences side by side on Ray: auto, where a Ray is named or it saves time"
    )
    association: TrackerConfig = Field(default=TrackerConfig(), description="Constants and switches of the tracker")
    interpolate_seconds: float = Field(
        default=0.0, ge=0, description="Beyond the paper: fill gaps of a track up to this long afterwards, not online"
    )

    @model_validator(mode="after")
    def _one_detector(self) -> Self:
        if self.detector is not None and self.refine != "none":
            raise ValueError(f"--detector {self.detector} and --refine {self.refine} both detect: choose one")
        if self.min_score is not None and (self.detector is not None or self.refine != "none"):
            raise ValueError("--min-score is for given detections; use --detector-score or --refinement-threshold")
        own = self.tracker in ("ssat", "box", "centertrack")
        if not own and self.refine != "none" and (self.refine != "frozen" or self.refinement.births == "public"):
            raise ValueError(
                f"--tracker {self.tracker} cannot hold births back to public detections, nor lead the refinement: use "
                "--refine frozen --refinement-births free"
            )
        return self

    @property
    def needs_appearance(self) -> bool:
        """Whether the tracker looks at features."""
        return self.tracker in ("ssat", "deepsort")


class TrackSettings(StageSettings):
    """How one video, image folder or sequence is tracked."""

    section = "track"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    detections: str | None = Field(
        default=None,
        description="File of detections: MOTChallenge text, COCO JSON or Parquet; a MOTChallenge sequence has its own "
        "public ones",
    )
    detector: DetectorName | None = Field(
        default=None, description="Detect people with torchvision's network of that name, trained on COCO"
    )
    detector_score: float = Field(default=0.5, ge=0, le=1, description="Detections of --detector must score this")
    refine: Refine = Field(
        default="none",
        description="CenterTrack's network detects: frozen, by pairs of frames; closed-loop, led by the tracks as well",
    )
    refinement: RefinementSettings = Field(default=RefinementSettings(), description="How that network is run")
    min_score: float | None = Field(default=None, description="Leave out detections that score less; by default none")
    tracker: Literal["ssat", "box"] = Field(
        default="ssat", description="ssat: appearance and box; box: the box term alone, no network"
    )
    embedder: str | None = Field(
        default=None,
        description="MLflow run, file (safetensors, ONNX), `colour` (a histogram), `imagenet`, `untrained`, or several "
        "with weights (0.3*colour+0.7*RUN); by default the workspace's latest training, else "
        "`colour`",
    )
    reid: ReidInput = Field(default=ReidInput(), description="How a foreign ONNX network wants its patches")
    precision: Precision = Field(
        default="float32",
        description="Arithmetic of the embedder; auto: bfloat16 where the processor computes it natively",
    )
    frame_rate: float | None = Field(
        default=None, gt=0, le=10_000, description="Frames per second; by default the input's own, 30 for images"
    )
    video: bool = Field(default=True, description="Write an annotated mp4")
    show_lost: bool = Field(default=False, description="Draw lost tracks too, where they were last seen")
    association: TrackerConfig = Field(default=TrackerConfig(), description="Constants and switches of the tracker")
    interpolate_seconds: float = Field(
        default=0.0, ge=0, description="Beyond the paper: fill gaps of a track up to this long afterwards, not online"
    )

    @model_validator(mode="after")
    def _one_detector(self) -> Self:
        if self.detector is not None and self.refine != "none":
            raise ValueError(f"--detector {self.detector} and --refine {self.refine} both detect: choose one")
        if self.min_score is not None and (self.detector is not None or self.refine != "none"):
            raise ValueError("--min-score is for given detections; use --detector-score or --refinement-threshold")
        return self
