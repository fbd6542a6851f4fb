"""Measure the figures of a plan on this machine, on clips of the workspace if it has some."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ssat.errors import InputError
from ssat.file_names import TRIMMED
from ssat.plan.figures import BACKBONES, DEFAULTS, PlanFigure
from ssat.workspace import Workspace, committed

_CLIPS = 8
MIN_SECONDS = 1.5
Progress = Callable[[str], None]


def measured_file(workspace: Workspace) -> Path:
    """Return where the figures of this machine are kept."""
    return workspace.root / "plan" / "measured.json"


def load_figures(workspace: Workspace) -> dict[str, PlanFigure]:
    """Return the defaults, and over them what was measured here.

    Raises:
        InputError: the file of what was measured is damaged.
    """
    path = measured_file(workspace)
    try:
        measured = TypeAdapter(dict[str, PlanFigure]).validate_json(path.read_bytes())
    except FileNotFoundError:
        return dict(DEFAULTS)
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: not a readable measurement; measure again with setting `measure`") from error
    return {**DEFAULTS, **{name: figure for name, figure in measured.items() if name in DEFAULTS}}


def measure(workspace: Workspace, progress: Progress = lambda _: None) -> dict[str, PlanFigure]:
    """Measure the figures, store them in the workspace and return them. Takes half a minute on two cores.

    CPU-seconds of one core throughout, so that other work on the machine hardly matters.
    """
    with tempfile.TemporaryDirectory(prefix="ssat-plan-") as folder:
        clips, what = _clips(workspace, Path(folder))
        figures = _clip_figures(clips, what)
        progress("trimming")
        figures["trim_seconds"] = _trim(clips[0], Path(folder), what)
        progress("decoding and encoding")
        decoding, jpegs = _decoding(clips, what)
        figures |= decoding
        progress("crops")
        figures["loader_rate"] = _loader(jpegs, what)
    progress("training steps")
    figures |= _training()
    progress("features")
    figures["embed_rate"] = _features()
    with committed(measured_file(workspace)) as temporary:
        temporary.write_bytes(TypeAdapter(dict[str, PlanFigure]).dump_json(figures, indent=1))
    return figures


def _measured(value: float, unit: str, source: str) -> PlanFigure:
    return PlanFigure(float(f"{value:.4g}"), unit, "measured", source)


def _clips(workspace: Workspace, folder: Path) -> tuple[list[Path], str]:
    """Return a few clips of the workspace, else rendered ones."""
    found = sorted(path for path in (workspace.clips / TRIMMED).rglob("*.mp4") if not path.name.startswith("."))
    if found:
        # Spread over all clips, because neighbours come from the same source.
        chosen = [found[round(i)] for i in np.linspace(0, len(found) - 1, min(_CLIPS, len(found)))]
        return chosen, f"{len(chosen)} clips of the workspace"
    from ssat.demo.settings import DemoSettings
    from ssat.demo.world import write_clips

    write_clips(folder, DemoSettings.build(None, {"clip_seconds": 3.0}), only=range(2))
    return sorted(folder.glob("*.mp4")), "2 rendered clips, not real ones: the workspace has none"


def _clip_figures(clips: list[Path], what: str) -> dict[str, PlanFigure]:
    import av

    frames = []
    for path in clips:
        with av.open(str(path)) as container:
            frames.append(sum(packet.size > 0 for packet in container.demux(video=0)))
    sizes = [path.stat().st_size for path in clips]
    return {
        "clip_bytes": _measured(float(np.mean(sizes)), "bytes a clip", what),
        "clip_frames": _measured(float(np.mean(frames)), "frames a clip", what),
    }


def _trim(clip: Path, folder: Path, what: str) -> PlanFigure:
    import av

    from ssat.clips.trim import TrimSettings, trim_clip

    with av.open(str(clip)) as container:
        seconds = float(container.duration or 0) / 1_000_000
    began = time.process_time()
    # One frame less than there are, so that it is encoded again, as a piece of a longer video is.
    trim_clip(clip, folder / "trimmed.mp4", TrimSettings(min_seconds=0.1), start_s=0.05, end_s=max(0.2, seconds - 0.05))
    return _measured(time.process_time() - began, "CPU-s a clip", f"one of {what}")


def _decoding(clips: list[Path], what: str) -> tuple[dict[str, PlanFigure], list[bytes]]:
    import av

    from ssat.frames.encode import FrameEncoder

    decoding = encoding = 0.0
    decoded, jpegs = 0, []
    for path in clips:
        encoder = FrameEncoder()
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            began = time.process_time()
            frames = list(container.decode(video=0))
            decoding += time.process_time() - began
        decoded += len(frames)
        began = time.process_time()
        jpegs += [encoder.encode(frame).jpeg for frame in frames[::5]]
        encoding += time.process_time() - began
    return {
        "decode_rate": _measured(decoded / decoding, "frames per CPU-s", what),
        "encode_rate": _measured(len(jpegs) / encoding, "frames per CPU-s", what),
        "frame_bytes": _measured(float(np.mean([len(jpeg) for jpeg in jpegs])), "bytes a frame", what),
    }, jpegs


def _loader(jpegs: list[bytes], what: str) -> PlanFigure:
    from ssat.frames.augment import DRAWS, Augment, FrameDecoder

    chosen, decoder, augment = jpegs[:64], FrameDecoder(), Augment()
    draws = np.random.default_rng(0).random((len(chosen), DRAWS))
    out = np.empty((len(chosen), 224, 224, 3), np.uint8)

    def crops() -> None:
        for number, jpeg in enumerate(chosen):
            augment.into(out[number], decoder.decode(jpeg, 256), 256, draws[number])

    return _measured(_rate(crops, len(chosen)), "crops per CPU-s", what)


def _rate(work: Callable[[], Any], units: int, clock: Callable[[], float] = time.process_time) -> float:
    work()
    done, began = 0, clock()
    while (seconds := clock() - began) < MIN_SECONDS:
        work()
        done += units
    return done / seconds


def _training() -> dict[str, PlanFigure]:
    """Training steps, stated as of ResNet-50 at 224 pixels; on a core of a smaller network, which takes seconds."""
    import torch

    from ssat.embedding.settings import TrainSettings
    from ssat.embedding.train_step import TrainStep
    from ssat.embedding.training_state import TrainingState

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    architecture, crop, batch = ("resnet50", 224, 128) if cuda else ("resnet18", 112, 32)
    given = {"architecture": architecture, "crop": crop, "short_side": crop, "batch_size": batch, "workers": 1}
    settings = TrainSettings.build(None, given)
    state = TrainingState(settings, range(160), "", device, None)
    step = TrainStep(state, settings, device, None)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, crop, crop, 3), dtype=np.uint8)
    labels = rng.integers(0, 160, batch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rate = _rate(
            lambda: step(images, labels, 0.01, 0.35).tolist(), batch, time.monotonic if cuda else time.process_time
        )
    finally:
        torch.set_num_threads(threads)
    work = BACKBONES[architecture][0] / BACKBONES["resnet50"][0] * (crop / 224) ** 2
    source = f"{architecture} at {crop} pixels, {rate:.0f}/s, by its multiplications"
    if cuda:
        return {"gpu_rate": _measured(rate * work, "images/s a GPU", f"{torch.cuda.get_device_name()}: {source}")}
    return {"core_rate": _measured(rate * work, "images per core and s", source)}


def _features() -> PlanFigure:
    import torch

    from ssat.embedding.embedder import Embedder

    embedder = Embedder.untrained("resnet18", 112)
    patches = np.zeros((16, 112, 112, 3), np.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rate = _rate(lambda: embedder(patches), len(patches))
    finally:
        torch.set_num_threads(threads)
    work = BACKBONES["resnet18"][0] / BACKBONES["resnet50"][0] / 4
    return _measured(
        rate * work, "patches per core and s", f"resnet18 at 112 pixels, {rate:.0f}/s, by its multiplications"
    )


def as_rows(figures: Mapping[str, PlanFigure]) -> list[dict[str, Any]]:
    """Return the figures as plain data."""
    return [
        {"figure": name, **json.loads(TypeAdapter(PlanFigure).dump_json(figure))} for name, figure in figures.items()
    ]
