"""The figures that a plan rests on, each with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["measured", "published", "assumed"]

# Multiplications of one 224-pixel image, in 10⁹, and parameters in 10⁶ (torchvision's model pages).
BACKBONES: Mapping[str, tuple[float, float]] = {
    "resnet18": (1.81, 11.7),
    "resnet34": (3.66, 21.8),
    "resnet50": (4.09, 25.6),
    "resnet101": (7.80, 44.5),
}


@dataclass(frozen=True)
class PlanFigure:
    """A number, its unit, and how it is known: measured on this machine, published, or assumed for want of better."""

    value: float
    unit: str
    kind: Kind
    source: str


# Used if this machine was not measured. "published" includes figures of this project's benchmarks
# on other machines, as in its documents.
DEFAULTS: Mapping[str, PlanFigure] = {
    "available_share": PlanFigure(0.6, "of the candidates", "assumed", "share of a Kinetics list that still exists"),
    "download_bytes": PlanFigure(10e6, "bytes a video", "assumed", "one small video-only format, four minutes"),
    "clip_bytes": PlanFigure(
        271e3, "bytes a clip", "published", "160 clips of the evaluation data, 10 s, short side 256"
    ),
    "clip_frames": PlanFigure(300, "frames a clip", "published", "10 s at 30 frames/s, the paper's section 3.2"),
    "trim_seconds": PlanFigure(2.0, "CPU-s a clip", "assumed", "x264 veryfast, short side 256"),
    "decode_rate": PlanFigure(1_500, "frames per CPU-s", "assumed", "H.264 of short side 256"),
    "encode_rate": PlanFigure(1_500, "frames per CPU-s", "assumed", "scale and JPEG, short side 256"),
    "frame_bytes": PlanFigure(23e3, "bytes a frame", "published", "docs/scaling.md: JPEG quality 90, short side 256"),
    "loader_rate": PlanFigure(
        1_371, "crops per CPU-s", "published", "benchmarks/sampler_peers.py, crops of 224 pixels"
    ),
    "gpu_rate": PlanFigure(2_500, "images/s a GPU", "published", "ResNet-50, 224 pixels, mixed precision, one A100"),
    "gpu_flops": PlanFigure(312e12, "FLOP/s a GPU", "published", "A100 data sheet, bfloat16 dense"),
    "gpu_used_share": PlanFigure(0.4, "of the FLOP/s", "assumed", "of a matrix product of the head"),
    "gpu_image_bytes": PlanFigure(
        90e6, "bytes an image", "assumed", "activations of ResNet-50 at 224 pixels, bfloat16"
    ),
    "core_rate": PlanFigure(6.0, "images per core and s", "assumed", "ResNet-50 training step, 224 pixels, float32"),
    "embed_rate": PlanFigure(
        16.0, "patches per core and s", "assumed", "ResNet-50, 224 pixels; benchmarks/embed_cpu.py"
    ),
    "associate_rate": PlanFigure(4_000, "frames per core and s", "assumed", "bound of benchmarks/association.py"),
    "control_bytes": PlanFigure(
        4_000, "bytes a clip", "assumed", "bound of benchmarks/control_plane.py: 2 GB for 500,000"
    ),
}
