"""Settings of the benchmark stage and of tracking a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from ssat.detection.settings import DetectorName, Refine, RefinementSettings
from ssat.embedding.reid_input import ReidInput
from ssat.embedding.settings import Precision
from ssat.mot import protocols
from ssat.mot.splits import Split
from ssat.setting_marks import ByContent, Display, LocalPath, Positional, Runtime, Scoring
from ssat.settings import StageSettings
from ssat.tracking.config import QUICK_ALPHA, STRONG, TrackerConfig, TrackerName
from ssat.tracking.probe import HARD_REJOIN_SECONDS

_PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"association": {"alpha": QUICK_ALPHA}},
    "paper": {},
    "strong": {"association": STRONG, "interpolate_seconds": 1.0},
}
TrackPrecision = Literal["auto", "float32", "bfloat16", "int8"]
WITH_APPEARANCE = ("ssat", "deepsort")


# Fields that several models share.
_Detector = Annotated[
    DetectorName | None, Field(description="Detect people with torchvision's network of that name, trained on COCO")
]
_DetectorScore = Annotated[float, Field(ge=0, le=1, description="Detections of that network must score this")]
_RefineChoice = Annotated[
    Refine,
    Field(
        description="CenterTrack's network detects: frozen, by pairs of frames; closed-loop, led by the tracks as well"
    ),
]
_Refinement = Annotated[RefinementSettings, Field(description="How that network is run")]
_MinScore = Annotated[float | None, Field(description="Leave out detections that score less; by default none")]
_Tracker = Annotated[
    TrackerName,
    Field(description="ssat: appearance and box; box: the box term alone, no network; the others for comparison"),
]
_Reid = Annotated[ReidInput, Field(description="Input of a foreign ONNX network")]
_Association = Annotated[TrackerConfig, Field(description="Constants and switches of the tracker")]
_InterpolateSeconds = Annotated[
    float,
    Field(ge=0, description="Beyond the paper: fill gaps of a track up to this long in the results, not online"),
]
_DetectionsFile = Annotated[
    str | None,
    Field(
        description="File of detections: MOTChallenge text, COCO JSON or Parquet; a MOTChallenge sequence has its own "
        "public ones"
    ),
]
_FrameRate = Annotated[
    float | None,
    Field(gt=0, le=10_000, description="Frames per second; by default the input's own, 30 for images"),
]
_Precision = Annotated[
    Precision,
    Field(description="Arithmetic of the embedder; auto: bfloat16 where the processor computes it natively"),
]


class _Tracking(Protocol):
    """What the settings of a benchmark and of tracking have in common."""

    @property
    def detector(self) -> DetectorName | None: ...
    @property
    def refine(self) -> Refine: ...
    @property
    def refinement(self) -> RefinementSettings: ...
    @property
    def min_score(self) -> float | None: ...
    @property
    def tracker(self) -> TrackerName: ...
    @property
    def association(self) -> TrackerConfig: ...
    @property
    def interpolate_seconds(self) -> float: ...


def _check_tracking(settings: _Tracking) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ValueError: names the settings and what to do.
    """
    association, refine = settings.association, settings.refine
    if association.remember_seconds > 0 and settings.interpolate_seconds > association.lost_seconds:
        raise ValueError(
            f"interpolate_seconds {settings.interpolate_seconds:g} would fill absences of people who are remembered; "
            f"expected at most association.lost_seconds, {association.lost_seconds:g}"
        )
    if settings.detector is not None and refine != "none":
        raise ValueError(
            f"setting `detector` {settings.detector} and setting `refine` {refine} both detect: choose one"
        )
    if settings.min_score is not None and (settings.detector is not None or refine != "none"):
        raise ValueError(
            "setting `min_score` is for given detections; use setting `detector_score` or "
            "setting `refinement.threshold`"
        )
    own = settings.tracker in ("ssat", "box", "centertrack")
    if not own and refine != "none" and (refine != "frozen" or settings.refinement.births == "public"):
        raise ValueError(
            f"tracker {settings.tracker} cannot restrict new tracks to public detections, nor lead the refinement; use "
            "setting `refine` frozen and setting `refinement.births` free"
        )


def _beyond_the_paper(association: TrackerConfig, interpolate_seconds: float) -> list[str]:
    gaps = [f"gaps filled up to {interpolate_seconds:g} s"] if interpolate_seconds > 0 else []
    return [*association.extensions, *gaps]


class BenchmarkSettings(StageSettings):
    """Sequences, trackers and scoring of a benchmark."""

    section = "benchmark"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    mot: Annotated[str, ByContent(), LocalPath()] = Field(
        description="MOTChallenge sequence, a folder of them (SEQ/seqinfo.ini, det/, gt/, img1/), KITTI tracking, "
        "labelled videos"
    )
    sequences: Annotated[tuple[str, ...], ByContent()] = Field(
        default=(), description="Only these sequences, or patterns such as `*-FRCNN`; by default all of the folder"
    )
    split: Annotated[Split, Scoring()] = Field(
        default="val-half",
        description="train: whole sequences; val-half: the later half of each; train-half: the half before; test: "
        "without labels, for the server",
    )
    detections: str = Field(
        default="public", description="public: det/det.txt; else a file's name in each sequence's det folder"
    )
    detector: _Detector = None
    detector_score: _DetectorScore = 0.5
    refine: _RefineChoice = "none"
    refinement: _Refinement = RefinementSettings()
    min_score: _MinScore = None
    tracker: _Tracker = "ssat"
    embedder: Annotated[str | None, ByContent(), LocalPath()] = Field(
        default=None,
        description="Run of a training, file (safetensors, ONNX), `colour` (a histogram), `imagenet`, `untrained`, or "
        "several with weights (0.3*colour+0.7*RUN); by default the workspace's latest training",
    )
    reid: Annotated[_Reid, ByContent()] = ReidInput()
    protocol: Annotated[protocols.Protocol, Scoring()] = Field(
        default="centertrack-half",
        description="centertrack-half: every labelled box counts; motchallenge: pedestrians, distractors removed",
    )
    video: Annotated[bool, Display()] = Field(
        default=True, description="Write an annotated mp4 of every sequence that has frames"
    )
    side_by_side: Annotated[Literal["auto", "always", "never"], Runtime()] = Field(
        default="auto", description="Sequences concurrently; auto: if a cluster is named or it saves time"
    )
    association: _Association = TrackerConfig()
    interpolate_seconds: _InterpolateSeconds = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_tracking(self)
        return self

    @property
    def needs_appearance(self) -> bool:
        """Whether the tracker uses features."""
        return self.tracker in WITH_APPEARANCE

    @property
    def extensions(self) -> list[str]:
        """Options that are beyond the paper."""
        return _beyond_the_paper(self.association, self.interpolate_seconds)


class TrackSettings(StageSettings):
    """Tracking of one video, image folder or sequence."""

    section = "track"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    detections: _DetectionsFile = None
    classes: tuple[str, ...] = Field(
        default=(),
        description="Categories of a COCO file of detections that are tracked, by name or number; by default people",
    )
    detector: _Detector = None
    detector_score: _DetectorScore = 0.5
    refine: _RefineChoice = "none"
    refinement: _Refinement = RefinementSettings()
    min_score: _MinScore = None
    tracker: _Tracker = "ssat"
    embedder: str | None = Field(
        default=None,
        description="Run of a training, file (safetensors, ONNX), `colour` (a histogram), `imagenet`, `untrained`, or "
        "several with weights (0.3*colour+0.7*RUN); by default the workspace's latest training, else "
        "`colour`",
    )
    reid: _Reid = ReidInput()
    precision: TrackPrecision = Field(
        default="float32",
        description="Arithmetic of the embedder; auto: bfloat16 where the processor computes it natively; int8: 8-bit "
        "integers by onnxruntime, for CPUs",
    )
    embed_every: int = Field(
        default=1,
        ge=1,
        le=30,
        description="Beyond the paper: frames from one patch to the next of a person who cannot be mistaken for "
        "another (no other box near); in between their feature is kept; 1: every patch is embedded",
    )
    frame_rate: _FrameRate = None
    video: bool = Field(default=True, description="Write an annotated mp4")
    show_lost: bool = Field(default=False, description="Also draw lost tracks, at their last box")
    association: _Association = TrackerConfig()
    interpolate_seconds: _InterpolateSeconds = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_tracking(self)
        if self.show_lost and self.tracker not in ("ssat", "box"):
            raise ValueError(
                f"setting `show_lost`: tracker {self.tracker} does not say which tracks are lost; use ssat or box"
            )
        return self

    @property
    def needs_appearance(self) -> bool:
        """Whether the tracker uses features."""
        return self.tracker in WITH_APPEARANCE

    @property
    def extensions(self) -> list[str]:
        """Options that are beyond the paper."""
        every = self.embed_every if self.needs_appearance else 1
        saved = [f"patches embedded every {every} frames where no other person is near"] if every > 1 else []
        return [*_beyond_the_paper(self.association, self.interpolate_seconds), *saved]


class ProbeSettings(StageSettings):
    """Detections, embedders and pairs of a probe."""

    section = "probe"

    embedder: tuple[str, ...] = Field(
        default=(),
        description="Probed embedders, named as for `ssat track`; by default the latest training, if any, and `colour`",
    )
    reid: _Reid = ReidInput()
    precision: _Precision = "float32"
    detections: _DetectionsFile = None
    detector: _Detector = None
    detector_score: _DetectorScore = 0.5
    min_score: _MinScore = None
    frame_rate: _FrameRate = None
    split: Literal["train", "train-half", "val-half"] = Field(
        default="train", description="train: all frames; val-half: the later half; train-half: the half before"
    )
    gaps_seconds: tuple[float, ...] = Field(
        default=(0.1, 1.0, 3.0), min_length=1, description="Times between the two boxes of a pair"
    )
    rejoin_seconds: float = Field(
        default=HARD_REJOIN_SECONDS,
        ge=0,
        le=5,
        description="Tracklets are continued over gaps up to this long if motion predicts the position",
    )
    seed: int = Field(default=0, description="Of the resampling that gives the intervals")
    tau1: float = Field(default=0.56, gt=0, description="Threshold of pass 1 that is converted into a raw distance")
    tau2: float = Field(default=0.64, gt=0, description="The same of pass 2")

    @field_validator("gaps_seconds")
    @classmethod
    def _positive(cls, gaps: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < gap <= 60 for gap in gaps):
            raise ValueError("expected times above 0 and up to 60 seconds")
        return gaps


class AdaptSettings(StageSettings):
    """Beyond the paper: how an embedder is adapted to the people of one camera, and on what that is judged."""

    section = "adapt"

    footage: Annotated[str, ByContent(), LocalPath(), Positional("FOLDER")] = Field(
        description="Folder of MOTChallenge sequences, or of videos with detections of the same names beside them"
    )
    embedder: Annotated[str | None, ByContent(), LocalPath()] = Field(
        default=None,
        description="What is adapted: run of a training, its file, or `colour` (learned colours are compared with the "
        "plain histogram); by default the workspace's latest training, else `colour`",
    )
    held_out: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the footage, at its end, that is held out to evaluate the adaptation",
    )
    views: int = Field(default=1500, ge=100, description="Views drawn of all tracklets together")
    shrinkage: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Shrinkage of the within-class covariance to equal variance in all directions; 1: fully. Default "
        "0.8 for colours, 0.03 for a network",
    )
    min_score: _MinScore = None
    seed: int = Field(default=0, ge=0, description="Of the cells and of the views")


class LinkSettings(StageSettings):
    """Beyond the paper: which tracks of a finished result are joined over absences."""

    section = "link"

    embedder: str | None = Field(
        default=None,
        description="Embedder that compares tracks, named as for `ssat track`; by default the workspace's latest "
        "training, else `colour`",
    )
    reid: _Reid = ReidInput()
    precision: _Precision = "float32"
    frame_rate: _FrameRate = None
    max_gap_seconds: float = Field(default=300.0, gt=0, description="Longest absence over which tracks are joined")
    false_join_rate: float = Field(
        default=0.01,
        gt=0,
        le=0.5,
        description="Share of tracks that may be joined to another person's, by the distances of people of one frame",
    )
    rival_ratio: float = Field(
        default=1.5,
        ge=1,
        description="Two tracks are not joined if one is as near to a third person's, up to this many times the "
        "distance; 1: the nearest are always joined",
    )
    max_distance: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="Join tracks at this distance (1 - cosine) or less; by default it follows from the false-join rate",
    )
    max_speed: float = Field(default=5.0, gt=0, description="Heights per second that a person may move while not seen")
    min_boxes: int = Field(default=5, ge=1, description="Tracks of fewer boxes are left as they are")
    boxes_per_track: int = Field(
        default=32, ge=1, description="Boxes of a track that are embedded, spread over its length"
    )
