"""Settings of the studies."""

from __future__ import annotations

from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ssat.embedding.settings import Architecture
from ssat.mot.splits import Split
from ssat.setting_marks import Budget, ByContent, LocalPath, Runtime
from ssat.settings import StageSettings
from ssat.tracking.config import TrackerName
from ssat.tracking.probe import HARD_GAPS_SECONDS, HARD_REJOIN_SECONDS

# Trackers of the comparison; `tracklets` is SSAT's tracker with a network trained on tracklets of SORT, `strong` the
# preset of that name with appearance and `strong-box` by boxes alone.
ComparedTracker = Literal[
    "ssat", "centertrack", "tracklets", "sort", "bytetrack", "oc-sort", "deepsort", "box", "strong", "strong-box"
]
BoxmotTracker = Literal["bytetrack", "ocsort", "botsort", "deepocsort", "strongsort", "boosttrack"]
# BoxMOT's trackers: name, and whether it uses appearance.
BOXMOT: dict[BoxmotTracker, tuple[str, bool]] = {
    "bytetrack": ("ByteTrack", False),
    "ocsort": ("OC-SORT", False),
    "botsort": ("BoT-SORT", True),
    "deepocsort": ("Deep OC-SORT", True),
    "strongsort": ("StrongSORT", True),
    "boosttrack": ("BoostTrack++", True),
}
_TRACKER_OF: dict[str, TrackerName] = {"tracklets": "ssat", "strong": "ssat", "strong-box": "box"}


class ClipsStudySettings(StageSettings):
    """Effect of the number of training clips on tracking (Table 4)."""

    section = "study_clips"

    clips: tuple[int, ...] = Field(default=(160, 800, 1600), description="Numbers of training clips")
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2), description="Seeds of each number; three or more for intervals worth the name"
    )
    same_steps: bool = Field(
        default=False,
        description="As many steps for every number as for the largest, instead of the same epochs (the paper's way)",
    )
    warm: bool = Field(default=False, description="Start each training from the next smaller one with its seed")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Of the intervals over the seeds")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name, values in (("clips", self.clips), ("seeds", self.seeds)):
            if not values:
                raise ValueError(f"{name}: name one or more")
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {', '.join(map(str, values))}: each once")
        if min(self.clips) < 2:
            raise ValueError(f"clips {min(self.clips)}: two or more, each is a class")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds {min(self.seeds)}: 0 or more")
        return self


class TrackletSettings(BaseModel):
    """The baseline "tracklet pseudo-labels": SORT's tracklets are classes, a network learns them by cross-entropy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split = Field(default="train", description="Frames of the unlabelled sequences that are used")
    detections: str = Field(default="public", description="Detections that SORT follows there")
    min_score: float | None = Field(default=None, description="Leave out detections that score less; by default none")
    min_frames: int = Field(default=8, ge=2, description="Shorter tracklets are no class")
    max_frames: int = Field(default=40, ge=2, description="Patches of a tracklet at most, evenly spread")
    architecture: Architecture = Field(default="resnet18", description="Backbone")
    crop: int = Field(default=112, ge=32, le=1024, description="Side of the patches, pixels")
    epochs: int = Field(default=12, ge=1, description="Passes over the patches")
    batch_size: int = Field(default=64, ge=2, description="Patches in a step")
    learning_rate: float = Field(default=0.05, gt=0, description="Highest rate: warm-up, then half a cosine")
    weight_decay: float = Field(default=5e-4, ge=0, description="Weight decay of SGD")
    seed: int = Field(default=0, ge=0, description="Seed of weights and order")


class TrackersStudySettings(StageSettings):
    """Trackers on the same detections (Tables 1 and 2)."""

    section = "study_trackers"

    trackers: tuple[ComparedTracker, ...] = Field(
        default=("ssat", "centertrack", "tracklets", "sort", "bytetrack", "oc-sort", "deepsort", "box"),
        description="Which",
    )
    unlabelled: Annotated[tuple[str, ...], ByContent(), LocalPath()] = Field(
        default=(), description="MOTChallenge sequences or folders of them whose tracklets train the baseline"
    )
    tracklets: TrackletSettings = Field(default=TrackletSettings(), description="How it is trained")
    boxmot_python: Annotated[str | None, ByContent(), LocalPath()] = Field(
        default=None,
        description="Python of an environment that has boxmot: its trackers are compared as well, each with BoxMOT's "
        "own settings, on the same detections and features",
    )
    boxmot_trackers: tuple[BoxmotTracker, ...] = Field(
        default=tuple(BOXMOT), min_length=1, description="Which of BoxMOT's trackers, with boxmot_python"
    )
    boxmot_camera_motion: bool = Field(
        default=True,
        description="Let those of BoxMOT's trackers that follow the background do so; off: for cameras that stand "
        "still, and for Deep OC-SORT of BoxMOT 25, whose correction makes it lose people",
    )
    boxmot_timeout_seconds: Annotated[float, Runtime()] = Field(
        default=1800.0, gt=0, description="Time limit of one of BoxMOT's trackers for one sequence"
    )

    @model_validator(mode="after")
    def _has_video(self) -> Self:
        if not self.trackers:
            raise ValueError("trackers: name one or more")
        if "tracklets" in self.trackers and not self.unlabelled:
            raise ValueError(
                "tracker tracklets learns from unlabelled video: name sequences with setting `unlabelled`, or leave "
                "it out of setting `trackers`"
            )
        return self

    @property
    def needs_appearance(self) -> bool:
        """Whether any of the trackers uses features."""
        return "tracklets" in self.trackers or self.needs_embedder

    @property
    def needs_embedder(self) -> bool:
        """Whether any of the trackers uses features of the embedder that is named."""
        foreign = self.boxmot_python is not None and any(BOXMOT[name][1] for name in self.boxmot_trackers)
        return foreign or bool({"ssat", "strong", "deepsort"} & set(self.trackers))


class FeaturesStudySettings(StageSettings):
    """Features on the same detections: how well they distinguish people, and how well the tracker scores with them."""

    section = "study_features"

    embedder: Annotated[tuple[str, ...], ByContent(), LocalPath()] = Field(
        default=(),
        description="Compared embedders, named as for `ssat track`, sums too (0.5*colour+0.5*RUN); the first is the "
        "reference of the others. By default `colour`, `untrained`, `imagenet` if available, the latest learned "
        "colours and the latest network of the workspace, and the sum of each of these two and `colour`",
    )
    gap_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Time between the two boxes of a pair of the AUC by labels"
    )
    probe_gaps_seconds: tuple[float, ...] = Field(
        default=HARD_GAPS_SECONDS,
        min_length=1,
        description="The same without labels; longer gaps are harder and resolve smaller differences",
    )
    rejoin_seconds: float = Field(
        default=HARD_REJOIN_SECONDS,
        ge=0,
        le=5,
        description="Tracklets are continued over gaps up to this long if motion predicts the position",
    )

    @field_validator("probe_gaps_seconds")
    @classmethod
    def _positive_gaps(cls, gaps: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < gap <= 60 for gap in gaps):
            raise ValueError("expected times above 0 and up to 60 seconds")
        return gaps

    @model_validator(mode="after")
    def _distinct_embedders(self) -> Self:
        if len(set(self.embedder)) < len(self.embedder):
            raise ValueError(f"embedder {', '.join(self.embedder)}: each once")
        return self


class ThresholdsStudySettings(StageSettings):
    """The tracker's constants over a grid: chosen on one split, reported on another."""

    section = "study_thresholds"

    tau1: tuple[float, ...] = Field(default=(0.2, 0.3, 0.4, 0.5, 0.56, 0.65), description="Thresholds of round 1")
    tau2: tuple[float, ...] = Field(default=(0.3, 0.4, 0.5, 0.64, 0.8), description="Thresholds of round 2")
    alpha: tuple[float, ...] = Field(default=(0.5, 1.0, 2.0, 4.0), description="Scales of the box term")
    beta: tuple[float, ...] = Field(default=(0.1, 0.4, 0.7, 1.0), description="Weights of a track's new feature")
    margin: tuple[float, ...] = Field(default=(), description="CosFace margins; each is a training")
    scale: tuple[float, ...] = Field(default=(), description="CosFace scales; each is a training")
    metric: Literal["idf1", "mota", "hota"] = Field(default="idf1", description="What the best point is best in")
    choose_split: Split = Field(default="train-half", description="Split the point is chosen on")
    choose_mot: Annotated[str | None, ByContent(), LocalPath()] = Field(
        default=None, description="Sequences it is chosen on; by default those that it is reported on"
    )
    choose_sequences: tuple[str, ...] = Field(default=(), description="Only these of them")
    choose_detections: str | None = Field(default=None, description="Detections there; by default those of the report")
    choose_min_score: float | None = Field(default=None, description="Smallest score there; by default none")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name in ("tau1", "tau2", "alpha", "beta", "margin", "scale"):
            values = getattr(self, name)
            if not values and name not in ("margin", "scale"):
                raise ValueError(f"{name}: name one or more")
            if len(set(values)) < len(values):
                raise ValueError(f"{name} {', '.join(map(str, values))}: each once")
        return self

    @property
    def points(self) -> int:
        """Points of the tracker's grid."""
        return len(self.tau1) * len(self.tau2) * len(self.alpha) * len(self.beta)


class TuneSettings(StageSettings):
    """The settings of the preset `strong`, tuned on labelled sequences and reported on others."""

    section = "tune"

    train: Annotated[str, ByContent(), LocalPath()] = Field(
        description="Labelled MOTChallenge sequence, or a folder of them, that settings are chosen on"
    )
    report: Annotated[str, ByContent(), LocalPath()] = Field(
        description="Other labelled sequences that the chosen settings are reported on"
    )
    train_split: Split = Field(default="train", description="Frames of the sequences of `train`: train: all of them")
    report_split: Split = Field(default="train", description="Frames of the sequences of `report`")
    trials: Annotated[int, Budget()] = Field(
        default=100, ge=2, le=100_000, description="Settings that are tried, earlier ones included"
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sampler")
    metric: Literal["idf1", "mota", "hota"] = Field(default="idf1", description="Score that is maximised")

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if "test" in (self.train_split, self.report_split):
            raise ValueError("split test has no labels; expected train, train-half or val-half")
        return self


def tracker_of(name: ComparedTracker) -> TrackerName:
    """Return the tracker behind a name of the comparison."""
    return cast(TrackerName, _TRACKER_OF.get(name, name))
