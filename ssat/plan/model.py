"""The arithmetic of a plan: pure functions from settings and figures to hours, bytes, memory and cost.

A stage takes as long as its slowest resource; stages follow each other. What the resources would take alone is kept, so
that the plan can name the bottleneck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ssat.plan.figures import BACKBONES, PlanFigure
from ssat.plan.settings import PlanSettings

GIB = 1024**3
FEATURES = 512
_MONTH_H = 730.0
# Weight, momentum and gradient of a parameter in float32.
_TRAINED_BYTES = 12
# Added for a class weight that takes part in a step: benchmarks/cosface_head.py measures 28 in all.
_NORMALISING_BYTES = 16


@dataclass(frozen=True)
class Stage:
    """One stage. `limits`: hours by resource; the largest is the stage's. Bytes: added on disk, sent over the network.

    `node_gib` and `gpu_gib` are the memory of a machine and of a GPU.
    """

    name: str
    limits: Mapping[str, float]
    disk_bytes: float = 0.0
    network_bytes: float = 0.0
    node_gib: float = 0.0
    gpu_gib: float = 0.0
    gpu_hours: float = 0.0
    core_hours: float = 0.0

    @property
    def hours(self) -> float:
        """Wall-clock hours."""
        return max(self.limits.values())

    @property
    def bound_by(self) -> str:
        """The resource that sets them."""
        return max(self.limits, key=lambda name: self.limits[name])


@dataclass(frozen=True)
class CostPlan:
    """All stages, what they cost (None: no price was given) and what does not fit."""

    stages: tuple[Stage, ...]
    cost: Mapping[str, float] | None
    warnings: tuple[str, ...] = field(default=())

    @property
    def hours(self) -> float:
        """Wall-clock hours of all stages, one after the other."""
        return sum(stage.hours for stage in self.stages)

    @property
    def bottleneck(self) -> Stage:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.hours)


def make_plan(settings: PlanSettings, figures: Mapping[str, PlanFigure]) -> CostPlan:
    """Return the plan for `settings`, resting on `figures` (by the names of `ssat.plan.figures.DEFAULTS`)."""
    value = {name: figure.value for name, figure in figures.items()}
    stages = (
        _collect(settings, value),
        _decode(settings, value),
        _train(settings, value),
        _benchmark(settings, value),
    )
    return CostPlan(stages, _cost(settings, stages), tuple(_warnings(settings, stages)))


def _collect(settings: PlanSettings, value: Mapping[str, float]) -> Stage:
    candidates = settings.clips / value["available_share"]
    downloaded = settings.clips * value["download_bytes"]
    core_hours = settings.clips * value["trim_seconds"] / 3600
    return Stage(
        "collect",
        {
            "the source's rate": candidates / (settings.per_hour * settings.egresses),
            "the download rate": downloaded * 8 / (settings.internet_mbit * 1e6) / 3600,
            "cores (trimming)": core_hours / _cores(settings),
        },
        disk_bytes=settings.clips * value["clip_bytes"],
        network_bytes=downloaded,
        node_gib=1 + settings.clips * value["control_bytes"] / GIB,
        core_hours=core_hours,
    )


def _decode(settings: PlanSettings, value: Mapping[str, float]) -> Stage:
    decoded = settings.clips * value["clip_frames"]
    stored = settings.clips * stored_frames(settings, value)
    core_hours = (decoded / value["decode_rate"] + stored / value["encode_rate"]) / 3600
    written = stored * value["frame_bytes"]
    return Stage(
        "decode",
        {
            "cores (decoding)": core_hours / _cores(settings),
            # The write rate of a disk is assumed equal to its read rate.
            "the frame store's disk": written / (settings.read_gib_per_second * GIB * settings.nodes) / 3600,
        },
        disk_bytes=written,
        network_bytes=settings.clips * value["clip_bytes"] + written if settings.nodes > 1 else 0.0,
        node_gib=2 + settings.clips * value["control_bytes"] / GIB,
        core_hours=core_hours,
    )


def stored_frames(settings: PlanSettings, value: Mapping[str, float]) -> float:
    """Return frames of a clip in the store."""
    return -(-value["clip_frames"] // settings.frame_stride)


def training_images(settings: PlanSettings, value: Mapping[str, float]) -> float:
    """Return images that the training reads, over all epochs."""
    stored = stored_frames(settings, value)
    return settings.epochs * settings.clips * min(settings.frames_per_clip or stored, stored)


def relative_work(settings: PlanSettings) -> float:
    """Work of an image against ResNet-50 at 224 pixels, which the published rates are for."""
    return BACKBONES[settings.architecture][0] / BACKBONES["resnet50"][0] * (settings.crop / 224) ** 2


def training_work(settings: PlanSettings) -> float:
    """Return `relative_work` averaged over the epochs, whose first ones may use smaller crops."""
    early = min(settings.early_epochs, settings.epochs) / settings.epochs if settings.early_crop else 0.0
    smaller = ((settings.early_crop or settings.crop) / settings.crop) ** 2
    return relative_work(settings) * (1 - early + early * smaller)


def _train(settings: PlanSettings, value: Mapping[str, float]) -> Stage:
    images = training_images(settings, value)
    workers = max(1, settings.gpus * settings.nodes)
    share = settings.clips / workers
    # Three products of an image's feature with every class: cosines, and the gradients of feature and weights.
    head_flop = 3 * 2 * FEATURES * settings.clips * settings.negative_share
    if settings.gpus:
        seconds = training_work(settings) / value["gpu_rate"]
        seconds += head_flop / (value["gpu_flops"] * value["gpu_used_share"])
        compute = images * seconds / workers / 3600
    else:
        # A core that trains ResNet-50 at this rate spends 3 x 2 x 4.09 GFLOP on each image.
        flops = value["core_rate"] * 3 * 2 * BACKBONES["resnet50"][0] * 1e9
        compute = images * (training_work(settings) / value["core_rate"] + head_flop / flops) / _cores(settings) / 3600
    read = images * value["frame_bytes"]
    limits = {
        "GPUs" if settings.gpus else "cores (training)": compute,
        "cores (JPEG decoding)": images / value["loader_rate"] / _cores(settings) / 3600,
        "the frame store's disk": read / (settings.read_gib_per_second * GIB * settings.nodes) / 3600,
    }
    steps = images / (settings.batch_size * workers)
    gradient = 2 * 4 * BACKBONES[settings.architecture][1] * 1e6
    features = 3 * 4 * FEATURES * settings.batch_size * workers
    sent = steps * (gradient + features) * settings.nodes if settings.nodes > 1 else 0.0
    if settings.nodes > 1:
        limits["the network between machines"] = sent / settings.nodes / (settings.network_gbit * 1e9 / 8) / 3600
    hours = max(limits.values())
    taking_part = share * settings.negative_share
    head_bytes = FEATURES * (_TRAINED_BYTES * share + _NORMALISING_BYTES * taking_part)
    head_bytes += 12 * settings.batch_size * workers * taking_part
    network_bytes = _TRAINED_BYTES * BACKBONES[settings.architecture][1] * 1e6
    activations = settings.batch_size * value["gpu_image_bytes"] * relative_work(settings)
    accelerator = (head_bytes + network_bytes + activations) / GIB
    return Stage(
        "train",
        limits,
        disk_bytes=settings.clips * 2 * 4 * FEATURES * 2,  # two checkpoints: class weights and their momentum
        network_bytes=sent + (read if settings.nodes > 1 else 0.0),
        node_gib=2 * max(1, settings.gpus) + (0 if settings.gpus else accelerator),
        gpu_gib=accelerator if settings.gpus else 0.0,
        gpu_hours=hours * settings.gpus * settings.nodes,
        core_hours=hours * _cores(settings),
    )


def _benchmark(settings: PlanSettings, value: Mapping[str, float]) -> Stage:
    patches = settings.benchmark_frames * settings.people
    core_hours = (
        patches * relative_work(settings) / value["embed_rate"] + settings.benchmark_frames / value["associate_rate"]
    ) / 3600
    # One sequence after the other, on the cores of one machine.
    return Stage("benchmark", {"cores (features)": core_hours / settings.cores}, node_gib=2, core_hours=core_hours)


def _cores(settings: PlanSettings) -> int:
    return settings.cores * settings.nodes


def _cost(settings: PlanSettings, stages: tuple[Stage, ...]) -> Mapping[str, float] | None:
    disk_gib = sum(stage.disk_bytes for stage in stages) / GIB
    months = sum(stage.hours for stage in stages) / _MONTH_H
    amounts = {
        "GPUs": (settings.price_gpu_hour, sum(stage.gpu_hours for stage in stages)),
        "cores": (settings.price_core_hour, sum(stage.core_hours for stage in stages)),
        "disk": (settings.price_gib_month, disk_gib * max(1.0, months)),
        "download": (settings.price_gib_download, stages[0].network_bytes / GIB),
    }
    priced = {name: price * amount for name, (price, amount) in amounts.items() if price is not None}
    return {**priced, "together": sum(priced.values())} if priced else None


def _warnings(settings: PlanSettings, stages: tuple[Stage, ...]) -> list[str]:
    found = []
    for stage in stages:
        if stage.node_gib > settings.memory_gib:
            found.append(
                f"{stage.name} needs {stage.node_gib:.0f} GiB of a machine's memory, it has {settings.memory_gib:g}"
            )
        if stage.gpu_gib > settings.gpu_memory_gib:
            found.append(
                f"{stage.name} needs {stage.gpu_gib:.0f} GiB of a GPU's memory, it has {settings.gpu_memory_gib:g}: "
                "lower setting `batch_size` or setting `negative_share`, or take more GPUs"
            )
    collect = stages[0]
    if collect.bound_by == "the source's rate" and collect.hours > 24 * 7:
        found.append(
            f"at {settings.per_hour} videos an hour collecting takes {collect.hours / 24:.0f} days; a mirror that does "
            "not count requests (setting `mirrors`) makes the download rate the limit"
        )
    return found
