"""Processes of a gloo group, forked from one that has imported the library: its imports take seconds of each."""

import multiprocessing
from collections.abc import Callable
from typing import Any

from torch.multiprocessing import start_processes


def run_ranks(function: Callable[..., None], arguments: tuple[Any, ...], world: int) -> None:
    """`function(rank, *arguments)` in `world` processes, to their end; raises what one of them raised."""
    multiprocessing.set_forkserver_preload(["ssat.embedding.train_loop", "ssat.embedding.sharded_head"])
    start_processes(function, arguments, nprocs=world, start_method="forkserver")
