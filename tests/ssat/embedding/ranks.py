"""Processes of a gloo group, forked from one that has imported the library: its imports take seconds of each."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import start_processes

from ssat.embedding.settings import TrainSettings
from ssat.embedding.train_loop import train_loop
from ssat.frames.store import FrameStore


def run_ranks(function: Callable[..., None], arguments: tuple[Any, ...], world: int) -> None:
    """`function(rank, *arguments)` in `world` processes, to their end; raises what one of them raised."""
    multiprocessing.set_forkserver_preload(["ssat.embedding.train_loop", "ssat.embedding.sharded_head"])
    start_processes(function, arguments, nprocs=world, start_method="forkserver")


def train_rank(rank: int, folder: str, store_folder: str, settings: TrainSettings) -> None:
    """One of `settings.workers` ranks of a training on footage of a probe, which leaves its files in `folder`."""
    from ssat.pipeline.probe_evaluation import ProbeEvaluation

    world = settings.execution.workers
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))  # as on Ray: sums depend on the threads
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    evaluate = ProbeEvaluation(Path(str(settings.evaluation.probe))) if rank == 0 else None
    train_loop(settings, FrameStore.open(store_folder), Path(folder), None, distributed.group.WORLD, evaluate)
    distributed.destroy_process_group()
