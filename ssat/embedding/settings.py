"""Settings of the training stage."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ssat.settings import StageSettings

Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]

# What says where and how safely a training runs, but not what it learns.
RUNTIME_FIELDS = frozenset(
    {
        "workers",
        "min_workers",
        "max_restarts",
        "device",
        "compile",
        "loader_threads",
        "checkpoint_every",
        "keep_checkpoints",
        "evaluate_mot",
    }
)


class TrainSettings(StageSettings):
    """CosFace pretext training: every clip is a class, its frames are the samples.

    The defaults are the paper's (section 3.2 and "Implementation details"); where the paper is silent (batch size,
    weight decay, scale, margin) they follow CosFace.
    """

    section = "train"
    presets = {  # noqa: RUF012 - declared a ClassVar by the base
        "paper": {},
        # For a few cores: a small network on small crops, fewer frames of each clip (neighbours are near-duplicates),
        # a one-cycle schedule with a rate ten times the paper's, and a smaller scale, which suits few classes.
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
        },
    }

    # the data
    clips: int | None = Field(
        None, ge=2, description="Clips to train on: ranks 0 … N-1; by default all that are not held out"
    )
    held_out_clips: int = Field(
        16, ge=0, description="Clips kept out of training for the retrieval score: the ranks after the training ones"
    )
    frames_per_clip: int | None = Field(None, ge=1, description="Frames drawn of each clip in an epoch; default all")
    crop: int = Field(224, ge=32, le=1024, description="Side of the square training crop and of the patches, pixels")
    short_side: int = Field(256, ge=32, le=1024, description="Short side a frame is scaled to before the crop, pixels")
    early_crop: int | None = Field(
        None, ge=32, description="Smaller crop of the first epochs: cheap steps while features are coarse"
    )
    early_epochs: int = Field(0, ge=0, description="How many epochs use the smaller crop")
    flip: bool = Field(False, description="Mirror half of the crops")
    area_min: float | None = Field(
        None, gt=0, le=1, description="Crop a random share of the frame's area, at least this; default a plain crop"
    )
    aspect_min: float = Field(1.0, gt=0, description="Narrowest width/height of a random-area crop")
    aspect_max: float = Field(1.0, gt=0, description="Widest width/height of a random-area crop")
    brightness: float = Field(0.0, ge=0, lt=1, description="Random change of brightness, as a share of the range")
    contrast: float = Field(0.0, ge=0, lt=1, description="Random change of contrast, as a share")

    # the network and its loss
    architecture: Architecture = Field("resnet50", description="Backbone")
    pretrained: bool = Field(False, description="Start from torchvision's ImageNet weights instead of from scratch")
    warm_start: str | None = Field(
        None, description="Folder of a smaller training to start from: its network, and its head for the first classes"
    )
    scale: float = Field(64.0, gt=0, description="CosFace scale s")
    margin: float = Field(0.35, ge=0, lt=1, description="CosFace margin m")
    margin_warmup: float = Field(0.0, ge=0, lt=1, description="Share of all steps over which the margin grows from 0")
    head: Literal["auto", "dense", "sharded"] = Field(
        "auto", description="Where class weights lie: on every worker, or each worker's share; auto: by their number"
    )
    negative_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the classes in a step's softmax (Partial FC); 1 is all; below it: sharded",
    )

    # the optimisation
    epochs: int = Field(16, ge=1, description="Passes over the training clips")
    batch_size: int = Field(128, ge=2, description="Images in a step, over all data-parallel workers together")
    learning_rate: float = Field(0.01, gt=0, description="Initial (step) or highest (cosine) learning rate")
    schedule: Literal["step", "cosine"] = Field(
        "step", description="step: divided by 10 every few epochs; cosine: linear warm-up, then a half cosine to 0"
    )
    step_epochs: int = Field(4, ge=1, description="Epochs between two divisions of the step schedule")
    warmup: float = Field(0.15, ge=0, lt=1, description="Share of all steps spent warming up (cosine)")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay of SGD")
    accumulate: int = Field(1, ge=1, description="Parts in which a worker computes its share of a step's batch")
    clip_gradient: float | None = Field(None, gt=0, description="Largest norm of the network's gradient; default any")
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of an average of the weights over the steps, used for features; default off",
    )
    whiten: float | None = Field(
        None,
        gt=0,
        description="Beyond the paper: even out how far features spread in each direction, by training frames; the "
        "value is the shrinkage; default off",
    )
    precision: Precision = Field(
        "auto", description="Arithmetic of the network; auto: bfloat16 where the processor computes it natively"
    )

    # where it runs
    workers: int = Field(2, ge=1, description="Data-parallel workers")
    min_workers: int | None = Field(
        None, ge=1, description="Go on with as few workers as this when the cluster shrinks; default: wait for all"
    )
    max_restarts: int = Field(3, ge=0, description="How often a lost worker is replaced before the training fails")
    device: Device = Field("auto", description="Where the network runs")
    compile: bool = Field(False, description="Let torch.compile build the network's step; pays on a GPU")
    loader_threads: int = Field(1, ge=1, description="Threads that decode and crop ahead, for each worker")
    evaluate_every: int = Field(4, ge=1, description="Epochs between two held-out retrieval scores")
    evaluate_mot: str | None = Field(
        None, description="MOTChallenge folder to track at every evaluation, reported as IDF1"
    )
    checkpoint_every: int = Field(500, ge=1, description="Steps between two checkpoints; one also ends every epoch")
    keep_checkpoints: int = Field(
        2, ge=1, description="Checkpoints kept, the latest; the one with the best held-out score is kept besides"
    )
    seed: int = Field(0, ge=0, description="Seed of weights, sampling and crops")

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
        if self.aspect_min > self.aspect_max:
            raise ValueError(f"aspect_min {self.aspect_min} is above aspect_max {self.aspect_max}")
        if self.batch_size % self.workers:
            raise ValueError(f"batch_size {self.batch_size} does not divide by workers {self.workers}")
        if self.batch_size // (self.workers * self.accumulate) < 2:
            raise ValueError(
                f"batch_size {self.batch_size} leaves fewer than 2 images for each of {self.workers} workers"
                f"{f' in {self.accumulate} parts' if self.accumulate > 1 else ''}, which batch normalisation needs"
            )
        if (self.batch_size // self.workers) % self.accumulate:
            raise ValueError(
                f"a worker's {self.batch_size // self.workers} images do not divide into accumulate {self.accumulate}"
            )
        if self.negative_share < 1 and (self.head == "dense" or self.accumulate > 1):
            raise ValueError("negative_share below 1 needs a sharded head and accumulate 1")
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(f"min_workers {self.min_workers} is above workers {self.workers}")
        return self
