"""Images per second of training from a real frame store, beside the same step on images that are already in memory.

    python benchmarks/train_throughput.py --clips ../shared/data/clips/trimmed

Three figures on the same settings, taken in turns so that each sees the same machine: the loader alone, the step
alone (one batch again and again), and both together as `train_loop` runs them. On CPUs loader and step share the
cores, so the claim there is about CPU-seconds; on a GPU it is about the wall clock. How well the step uses the
processor is told against a plain matrix product in the same arithmetic on the same device.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from support.report import Claim, report
from support.stores import store_of
from torch.utils.flop_counter import FlopCounterMode

from ssat.embedding.data import Batch, TrainingData
from ssat.embedding.device import dtype_of
from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_step import TrainStep
from ssat.embedding.training_state import TrainingState


class _Clock:
    """Seconds of wall clock and of CPU (all threads) since the last reading."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.read()

    def read(self) -> np.ndarray:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = np.array([time.perf_counter(), time.process_time()])
        since, self._last = now - getattr(self, "_last", now), now
        return since


def flops_of(step: TrainStep, batch: Batch) -> float:
    """Floating-point operations of one step, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        step(*batch, 0.01, 0.35)
    return float(counter.get_total_flops())


def product_rate(device: torch.device, dtype: torch.dtype) -> np.ndarray:
    """Floating-point operations of a large matrix product: per second of wall clock, and of CPU."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    clock, best = _Clock(device), np.full(2, np.inf)
    for _ in range(6):
        a @ b
        best = np.minimum(best, clock.read())
    rate: np.ndarray = 2 * n**3 / best
    return rate


def memory_mb(device: torch.device) -> int:
    """Largest memory so far: allocated on a GPU, else resident in this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def epochs(data: TrainingData) -> Iterator[Batch]:
    """Batches without end."""
    epoch = 0
    while True:
        yield from data.epoch(epoch)
        epoch += 1


@click.command()
@click.option("--clips", type=click.Path(path_type=Path), default=None, help="Folder of trimmed clips.")
@click.option("--preset", type=click.Choice(["paper", "quick"]), default="quick", show_default=True)
@click.option("--batch-size", type=int, default=None, help="Other than the preset's.")
@click.option("--steps", type=int, default=8, show_default=True, help="Steps of each turn.")
@click.option("--turns", type=int, default=3, show_default=True)
@click.option("--loader-threads", type=int, default=1, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="With torch.compile.")
def main(
    clips: Path | None, preset: str, batch_size: int | None, steps: int, turns: int, loader_threads: int, compiled: bool
) -> None:
    """Measure and report."""
    clips = clips or Path(os.environ.get("SSAT_REAL_DATA", "../shared/data")) / "clips" / "trimmed"
    videos = sorted(clips.glob("*.mp4"))[:24]
    if not videos:
        raise click.ClickException(f"{clips}: no clips; give a folder with --clips")
    given = {"workers": 1, "held_out_clips": 0, "loader_threads": loader_threads, "compile": compiled}
    if batch_size is not None:
        given["batch_size"] = batch_size
    settings = TrainSettings.build(preset, given).model_copy(update={"early_epochs": 0, "early_crop": None})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), videos, 5)
        data = TrainingData(settings, store, 0, 1)
        step = TrainStep(TrainingState(settings, data.training, store.digest, device, None), settings, device, None)
        stream = epochs(data)
        kept = next(stream)
        for _ in range(3):
            step(*kept, 0.01, 0.35)
        flops = flops_of(step, kept)
        best = {name: np.full(2, np.inf) for name in ("loader alone", "step alone", "both")}
        clock = _Clock(device)
        for _ in range(turns):
            clock.read()
            for _ in range(steps):
                next(stream)
            best["loader alone"] = np.minimum(best["loader alone"], clock.read() / steps)
            for _ in range(steps):
                step(*kept, 0.01, 0.35)
            best["step alone"] = np.minimum(best["step alone"], clock.read() / steps)
            for _ in range(steps):
                step(*next(stream), 0.01, 0.35)
            best["both"] = np.minimum(best["both"], clock.read() / steps)
        stream.close()
    clock_of = 0 if device.type == "cuda" else 1
    batch = settings.optimiser.batch_size
    peak = product_rate(device, dtype_of(settings.network.precision, device))[clock_of]
    rows = [
        {
            "what": name,
            "images/s": round(batch / wall, 1),
            "images per CPU-second": round(batch / cpu, 1),
            "share of a matrix product": ""
            if name == "loader alone"
            else f"{flops / (wall, cpu)[clock_of] / peak:.2f}",
        }
        for name, (wall, cpu) in best.items()
    ]
    share = best["step alone"][clock_of] / best["both"][clock_of]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    report(
        "train_throughput",
        f"{settings.network.architecture}, {settings.data.crop} px, batch {batch}, {name}, {torch.get_num_threads()} "
        f"threads, {loader_threads} loader threads, {memory_mb(device)} MB",
        rows,
        [Claim(f"end to end against the step alone ({'wall clock' if clock_of == 0 else 'CPU time'})", share, 0.97)],
    )


if __name__ == "__main__":
    main()
