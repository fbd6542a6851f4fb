"""Step time and memory of the CosFace head by the number of classes: dense, sharded, and with sampled negatives.

    python benchmarks/cosface_head.py --classes 1600,50000

Each case runs in processes of its own: forward, backward and SGD of the head alone on features that are given, batch
64 over all ranks. Two ranks talk over gloo on loopback; the dense head's gradient is averaged as data-parallel
training does. Memory is the growth of the resident set of one rank; CPU time is that of all threads of one rank,
which other work on the machine disturbs less than the wall clock. 500,000 classes need 14 GB.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch
from support.report import Claim, report
from torch import distributed as dist
from torch import multiprocessing, nn

from ssat.embedding.cosface import CosFaceHead
from ssat.embedding.sharded_head import ShardedCosFaceHead

BATCH = 64
CASES = tuple((world, kind) for world in (1, 2) for kind in ("dense", "sharded", "sampled"))


def run_rank(rank: int, world: int, kind: str, classes: int, steps: int, folder: str) -> None:
    """One rank: writes seconds per step and bytes of memory."""
    torch.set_num_threads(1)
    group = None
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
        group = dist.group.WORLD
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    share = 0.1 if kind == "sampled" else 1.0
    head: Any
    if kind == "dense":
        head = CosFaceHead(classes, scale=64.0, margin=0.35)
        if group is not None:
            head = nn.parallel.DistributedDataParallel(head, process_group=group)
    else:
        head = ShardedCosFaceHead(classes, group, scale=64.0, margin=0.35, negative_share=share)
    trained = [parameter for parameter in head.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.01, 0.9, weight_decay=5e-4) if trained else None
    seconds, cpu_seconds = [], []
    for step in range(steps + 1):
        generator = torch.Generator().manual_seed(step * world + rank)
        features = torch.randn(BATCH // world, 512, generator=generator, requires_grad=True)
        labels = torch.randint(0, classes, (BATCH // world,), generator=generator)
        if group is not None:
            dist.barrier(group=group)
        began, cpu_began = time.perf_counter(), time.process_time()
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
        head(features, labels).loss.backward()
        if optimizer is not None:
            optimizer.step()
        if isinstance(head, ShardedCosFaceHead):
            head.apply_gradient(0.01, 0.9, 5e-4)
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(time.process_time() - cpu_began)
    # Kilobytes on Linux.
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    # The first step allocates.
    measured = {"seconds": min(seconds[1:]), "cpu_seconds": min(cpu_seconds[1:]), "memory": memory}
    torch.save(measured, f"{folder}/{rank}.pt")
    if group is not None:
        dist.destroy_process_group()


@click.command()
@click.option("--classes", default="1600,50000,500000", show_default=True, help="Numbers of classes.")
@click.option("--steps", type=int, default=2, show_default=True)
@click.option(
    "--heads", default="dense,sharded,sampled", show_default=True, help="Which heads: a dense one needs most."
)
def main(classes: str, steps: int, heads: str) -> None:
    """Measure and report."""
    rows = []
    cases = [(world, kind) for world, kind in CASES if kind in heads.split(",")]
    for number in map(int, classes.split(",")):
        for world, kind in cases:
            with tempfile.TemporaryDirectory() as folder:
                multiprocessing.spawn(run_rank, (world, kind, number, steps, folder), nprocs=world)
                ranks = [torch.load(path, weights_only=True) for path in sorted(Path(folder).glob("*.pt"))]
            rows.append(
                {
                    "head": kind,
                    "classes": number,
                    "ranks": world,
                    "ms a step": round(1e3 * max(rank["seconds"] for rank in ranks), 1),
                    "CPU ms a step and rank": round(1e3 * max(rank["cpu_seconds"] for rank in ranks), 1),
                    "MB a rank": round(max(rank["memory"] for rank in ranks) / 1e6),
                }
            )
    largest = {(row["head"], row["ranks"]): row for row in rows[-len(cases) :]}
    cpu = "CPU ms a step and rank"
    claims = []
    if ("dense", 2) in largest and ("sharded", 2) in largest:
        dense, sharded = largest["dense", 2], largest["sharded", 2]
        claims = [
            Claim("memory of a rank, dense over sharded, two ranks", dense["MB a rank"] / sharded["MB a rank"], 1.5),
            Claim("CPU time of a step, dense over sharded, two ranks", dense[cpu] / sharded[cpu], 1.0),
        ]
    report(
        "cosface_head",
        f"batch {BATCH} over all ranks, float32, one thread a rank, gloo on loopback",
        rows,
        claims,
    )


if __name__ == "__main__":
    main()
