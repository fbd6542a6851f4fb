"""Settings of the training stage, composed of those of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ssat.embedding.instance_settings import InstanceSettings
from ssat.setting_marks import ByContent, LocalPath, Replicate, Runtime, without
from ssat.settings import Component, ComposedSettings, FlatName, OmittedAtDefault, flat_name

Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]


class DataSettings(Component):
    """The training clips, and the crops that are taken of them."""

    clips: int | None = Field(
        default=None, ge=2, description="Clips to train on: class ids 0 … N-1; by default all that are not held out"
    )
    held_out_clips: int = Field(
        default=16,
        ge=0,
        description="Clips kept out of training for the retrieval score: the ranks after the training ones",
    )
    frames_per_clip: int | None = Field(
        default=None, ge=1, description="Frames drawn of each clip in an epoch; default all"
    )
    crop: int = Field(
        default=224, ge=32, le=1024, description="Side of the square training crop and of the patches, pixels"
    )
    short_side: int = Field(
        default=256, ge=32, le=1024, description="Short side a frame is scaled to before the crop, pixels"
    )
    early_crop: int | None = Field(
        default=None, ge=32, description="Smaller crop of the first epochs: cheap steps while features are coarse"
    )
    early_epochs: int = Field(default=0, ge=0, description="How many epochs use the smaller crop")
    loader_threads: Annotated[int, Runtime()] = Field(
        default=1, ge=1, description="Threads that decode and crop ahead, for each worker"
    )
    lanes: Annotated[int, OmittedAtDefault()] = Field(
        default=1,
        ge=1,
        description="Independent parts of an epoch's order; with a multiple of the workers each reads its own part of "
        "the frame store instead of all of it",
    )

    def crop_in(self, epoch: int) -> tuple[int, int]:
        """Return crop and short side, in pixels, of an epoch (0-based)."""
        if epoch < self.early_epochs and self.early_crop is not None:
            return self.early_crop, round(self.short_side * self.early_crop / self.crop)
        return self.crop, self.short_side

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.crop > self.short_side:
            raise ValueError(f"crop {self.crop} is larger than short_side {self.short_side}; lower one or raise other")
        if self.early_epochs > 0 and self.early_crop is None:
            raise ValueError("early_epochs is set but early_crop is not; give both or neither")
        if self.early_crop is not None and self.early_crop > self.crop:
            raise ValueError(
                f"early_crop {self.early_crop} is larger than crop {self.crop}: the early epochs are the cheap ones; "
                "give a smaller early_crop as well"
            )
        return self


class AugmentationSettings(Component):
    """Augmentation besides the random crop."""

    flip: bool = Field(default=False, description="Mirror half of the crops")
    area_min: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Crop a random share of the frame's area, at least this; default a plain crop",
    )
    aspect_min: float = Field(default=1.0, gt=0, description="Narrowest width/height of a random-area crop")
    aspect_max: float = Field(default=1.0, gt=0, description="Widest width/height of a random-area crop")
    brightness: float = Field(
        default=0.0, ge=0, lt=1, description="Random change of brightness, as a share of the range"
    )
    contrast: float = Field(default=0.0, ge=0, lt=1, description="Random change of contrast, as a share")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.aspect_min > self.aspect_max:
            raise ValueError(f"aspect_min {self.aspect_min} is above aspect_max {self.aspect_max}")
        return self


class NetworkSettings(Component):
    """The backbone, how it computes, and what is done with its weights."""

    architecture: Architecture = Field(default="resnet50", description="Backbone")
    pretrained: bool = Field(
        default=False, description="Start from torchvision's ImageNet weights instead of from scratch"
    )
    ema: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of an average of the weights over the steps, used for features; default off",
    )
    whiten: float | None = Field(
        default=None,
        gt=0,
        description="Beyond the paper: even out how far features spread in each direction, by training frames; the "
        "value is the shrinkage; default off",
    )
    whiten_within: Annotated[float | None, OmittedAtDefault()] = Field(
        default=None,
        gt=0,
        le=1,
        description="Beyond the paper, patches: directions in which views of one patch differ count less; the value "
        "is the shrinkage to equal variance in all directions; default off",
    )
    colours: Annotated[bool, OmittedAtDefault()] = Field(
        default=False,
        description="Beyond the paper: learn colours from followed patches of the clips as well, and keep what ranks "
        "held-out patches better, the network or the colours",
    )
    precision: Precision = Field(
        default="auto", description="Arithmetic of the network; auto: bfloat16 where the processor computes it natively"
    )
    compile: Annotated[bool, Runtime()] = Field(
        default=False, description="Let torch.compile build the network's step; pays on a GPU"
    )


class HeadSettings(Component):
    """The CosFace loss and where its class weights lie."""

    scale: float = Field(default=64.0, gt=0, description="CosFace scale s")
    margin: float = Field(default=0.35, ge=0, lt=1, description="CosFace margin m")
    margin_warmup: float = Field(
        default=0.0, ge=0, lt=1, description="Share of all steps over which the margin grows from 0"
    )
    placement: Annotated[Literal["auto", "dense", "sharded"], FlatName("head")] = Field(
        default="auto",
        description="Class weights: all on every worker (dense), or divided (sharded); auto: by their number",
    )
    negative_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the classes in a step's softmax (Partial FC); 1 is all; below it: sharded",
    )


class OptimiserSettings(Component):
    """A step of SGD."""

    batch_size: int = Field(default=128, ge=2, description="Images in a step, over all data-parallel workers together")
    accumulate: int = Field(default=1, ge=1, description="Parts in which a worker computes its share of a step's batch")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD")
    weight_decay: float = Field(default=5e-4, ge=0, description="Weight decay of SGD")
    clip_gradient: float | None = Field(
        default=None, gt=0, description="Largest norm of the network's gradient; default any"
    )


class ScheduleSettings(Component):
    """Length of a training, and its learning rate over time."""

    epochs: int = Field(default=16, ge=1, description="Passes over the training clips")
    learning_rate: float = Field(default=0.01, gt=0, description="Initial (step) or highest (cosine) learning rate")
    kind: Annotated[Literal["step", "cosine"], FlatName("schedule")] = Field(
        default="step",
        description="step: divided by 10 every few epochs; cosine: linear warm-up, then a half cosine to 0",
    )
    step_epochs: int = Field(default=4, ge=1, description="Epochs between two divisions of the step schedule")
    warmup: float = Field(default=0.15, ge=0, lt=1, description="Share of all steps spent warming up (cosine)")


class EvaluationSettings(Component):
    """Scores that are computed during a training."""

    every: Annotated[int, FlatName("evaluate_every")] = Field(
        default=4, ge=1, description="Epochs between two evaluations: held-out retrieval, probe and tracking"
    )
    mot: Annotated[str | None, FlatName("evaluate_mot"), Runtime(), LocalPath()] = Field(
        default=None, description="MOTChallenge folder to track at every evaluation, reported as IDF1"
    )
    probe: Annotated[str | None, FlatName("probe"), ByContent(), LocalPath(), OmittedAtDefault()] = Field(
        default=None,
        description="Beyond the paper: folder of footage with detections; at every evaluation the probe scores the "
        "network on it without labels, and the best score chooses the weights that are kept",
    )


class CheckpointSettings(Component):
    """Frequency and number of checkpoints."""

    every: Annotated[int, FlatName("checkpoint_every"), Runtime()] = Field(
        default=500, ge=1, description="Steps between two checkpoints; one also ends every epoch"
    )
    keep: Annotated[int, FlatName("keep_checkpoints"), Runtime()] = Field(
        default=2,
        ge=1,
        description="Number of latest checkpoints kept, in addition to the one with the best score",
    )


class ExecutionSettings(Component):
    """Device and processes of a training."""

    workers: Annotated[int, Runtime()] = Field(default=2, ge=1, description="Data-parallel workers")
    min_workers: Annotated[int | None, Runtime()] = Field(
        default=None,
        ge=1,
        description="Go on with as few workers as this when the cluster shrinks; default: wait for all",
    )
    max_restarts: Annotated[int, Runtime()] = Field(
        default=3, ge=0, description="How often a lost worker is replaced before the training fails"
    )
    device: Annotated[Device, Runtime()] = Field(default="auto", description="Where the network runs")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers {self.min_workers} is above workers {self.workers}")
        return self


class TrainSettings(ComposedSettings):
    """CosFace pretext training: every clip is a class, its frames are the samples.

    The defaults are the paper's (section 3.2 and "Implementation details"); where the paper is silent (batch size,
    weight decay, scale, margin) they follow CosFace.
    """

    section: ClassVar[str] = "train"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # For a few cores: a small network on small crops, fewer frames of each clip (neighbours are near-duplicates),
        # a one-cycle schedule with a rate ten times the paper's, and a smaller scale, which suits few classes. From few
        # clips a network learns less than learned colours know: the better of the two is kept.
        "quick": {
            "architecture": "resnet18",
            "crop": 112,
            "short_side": 128,
            "early_crop": 64,
            "early_epochs": 10,
            "flip": True,
            "frames_per_clip": 24,
            "batch_size": 64,
            "learning_rate": 0.1,
            "schedule": "cosine",
            "scale": 30.0,
            "colours": True,
        },
    }

    data: DataSettings = DataSettings()
    classes: InstanceSettings = InstanceSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    network: NetworkSettings = NetworkSettings()
    warm_start: Annotated[str | None, LocalPath()] = Field(
        default=None,
        description="Folder of a smaller training to start from: its network, and its head for the first classes",
    )
    head: HeadSettings = HeadSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    execution: ExecutionSettings = ExecutionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    seed: Annotated[int, Replicate()] = Field(default=0, ge=0, description="Seed of weights, sampling and crops")

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide what is learned, as JSON values by their flat names."""
        return without(self, Runtime, ByContent)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        batch_size, accumulate = self.optimiser.batch_size, self.optimiser.accumulate
        workers = self.execution.workers
        if batch_size % workers:
            raise ValueError(f"batch_size {batch_size} does not divide by workers {workers}")
        if batch_size // (workers * accumulate) < 2:
            raise ValueError(
                f"batch_size {batch_size} leaves fewer than 2 images for each of {workers} workers"
                f"{f' in {accumulate} parts' if accumulate > 1 else ''}, which batch normalisation needs"
            )
        if (batch_size // workers) % accumulate:
            raise ValueError(f"a worker's {batch_size // workers} images do not divide into accumulate {accumulate}")
        if batch_size % self.data.lanes:
            raise ValueError(f"batch_size {batch_size} does not divide by lanes {self.data.lanes}")
        self._check_instances()
        if self.head.negative_share < 1 and (self.head.placement == "dense" or accumulate > 1):
            raise ValueError("negative_share below 1 needs a sharded head and accumulate 1")
        return self

    def _check_instances(self) -> None:
        """Refuse what a kind of instances does not use, and batches that do not divide into frames."""
        if self.network.whiten is not None and self.network.whiten_within is not None:
            raise ValueError("whiten and whiten_within both change the last layer; give one of them")
        if self.classes.kind == "clip":
            if self.network.whiten_within is not None:
                raise ValueError("whiten_within: for instances patch only, but instances is clip")
            unused = sorted(set(self.classes.model_fields_set) - {"kind"})
            changed = [name for name in unused if getattr(self.classes, name) != getattr(InstanceSettings(), name)]
            if changed:
                names = [flat_name(name, InstanceSettings.model_fields[name]) for name in changed]
                raise ValueError(f"{', '.join(names)}: for instances patch only, but instances is clip")
            return
        augmentation = AugmentationSettings(flip=self.augmentation.flip)
        if self.augmentation != augmentation:
            raise ValueError(
                "area_min, aspect, brightness and contrast are for instances clip; views of patches follow from "
                "replace_background, cover, misplace and blur"
            )
        if self.optimiser.batch_size % self.classes.per_frame:
            raise ValueError(
                f"batch_size {self.optimiser.batch_size} does not divide by instances_per_frame "
                f"{self.classes.per_frame}"
            )
        frames = self.optimiser.batch_size // self.classes.per_frame
        for name, parts in (("workers", self.execution.workers), ("lanes", self.data.lanes)):
            if frames % parts:
                raise ValueError(f"the {frames} frames of a batch do not divide by {name} {parts}")
