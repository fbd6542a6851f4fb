"""Settings of a plan: how much work, on which machines, at which prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ssat.embedding.settings import Architecture, TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.settings import StageSettings

_OF_TRAINING = ("architecture", "crop", "early_crop", "early_epochs", "epochs", "frames_per_clip", "batch_size")


class PlanSettings(StageSettings):
    """The work that is planned, the machines, what limits them, and prices.

    Without prices no cost is stated. `gpus` of 0 plans training on the cores.
    """

    section: ClassVar[str] = "plan"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # Defaults of the stages in the preset quick.
        "quick": {
            "frame_stride": DecodeSettings.presets["quick"]["frame_stride"],
            **{name: value for name, value in TrainSettings.presets["quick"].items() if name in _OF_TRAINING},
        },
    }

    clips: int = Field(500_000, ge=2, description="Training clips")
    architecture: Architecture = Field("resnet50", description="Backbone")
    crop: int = Field(224, ge=32, le=1024, description="Side of the training crop, pixels")
    early_crop: int | None = Field(None, ge=32, description="Smaller crop of the first epochs")
    early_epochs: int = Field(0, ge=0, description="How many epochs use the smaller crop")
    epochs: int = Field(16, ge=1, description="Passes over the training clips")
    frame_stride: int = Field(1, ge=1, description="Every n-th frame of a clip is stored")
    frames_per_clip: int | None = Field(None, ge=1, description="Frames drawn of each clip in an epoch; default all")
    batch_size: int = Field(128, ge=2, description="Images in a step on one GPU")
    negative_share: float = Field(1.0, gt=0, le=1, description="Share of the classes in a step's softmax")
    benchmark_frames: int = Field(5_316, ge=1, description="Frames of the benchmark, by default MOT17's training set")
    people: float = Field(15.0, gt=0, description="Detections in a frame of the benchmark")

    nodes: int = Field(1, ge=1, description="Machines")
    gpus: int = Field(8, ge=0, description="GPUs of a machine; 0: train on its cores")
    cores: int = Field(64, ge=1, description="CPU cores of a machine")
    memory_gib: float = Field(256.0, gt=0, description="Memory of a machine, GiB")
    gpu_memory_gib: float = Field(80.0, gt=0, description="Memory of a GPU, GiB")
    read_gib_per_second: float = Field(2.0, gt=0, description="What a machine reads of the frame store, GiB/s")
    network_gbit: float = Field(25.0, gt=0, description="Network between machines, Gbit/s")
    internet_mbit: float = Field(1_000.0, gt=0, description="Download rate of all machines together, Mbit/s")
    per_hour: int = Field(300, ge=1, description="Videos an hour per egress; a mirror allows very many")
    egresses: int = Field(1, ge=1, description="Ways out to the network with a limit of their own")

    price_gpu_hour: float | None = Field(None, ge=0, description="Price of a GPU for an hour")
    price_core_hour: float | None = Field(None, ge=0, description="Price of a core for an hour")
    price_gib_month: float | None = Field(None, ge=0, description="Price of a GiB on disk for a month")
    price_gib_download: float | None = Field(None, ge=0, description="Price of a GiB downloaded")
