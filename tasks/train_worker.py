"""One rank of a training, as Ray Train starts it.

Ray's own processes import this module to find the function, so it imports nothing heavy itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssat.embedding.settings import TrainSettings
from ssat.errors import SsatError
from tasks.evaluations import evaluation_of
from tasks.metrics import TRAINED_IMAGES, count
from tasks.mlflow_reporter import MlflowReporter

if TYPE_CHECKING:
    from ssat.embedding.train_loop import Evaluate, TrainResult


def train_worker(config: dict[str, Any]) -> TrainResult | None:
    """Run the library's loop as one rank of Ray's process group; see `_train`."""
    import ray.train

    context = ray.train.get_context()
    return _train(config, context.get_world_rank(), context.get_world_size(), context.get_local_world_size())


def train_alone(config: dict[str, Any]) -> TrainResult | None:
    """Run the library's loop as the only rank, in a plain Ray task; see `_train`."""
    return _train(config, 0, 1, 1)


def _train(config: dict[str, Any], rank: int, world: int, local_world: int) -> TrainResult | None:
    """Run the library's loop as rank `rank` of `world`, of which `local_world` are on this machine.

    Ray starts the ranks again after any error. An error that the user has to put right would occur again after as
    many minutes: it is left on the board, and the ranks of a second try end at once, with None.
    """
    import ray
    import torch
    from torch import distributed

    from ssat.embedding.train_loop import train_loop
    from ssat.frames.instances import InstanceTable
    from ssat.frames.store import FrameStore
    from ssat.remote import location

    board = config["board"]
    if ray.get(board.failure.remote()) is not None:
        return None
    # Ray sets one thread for each worker; share the machine's cores between the ranks that it holds.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_world))
    settings = TrainSettings(**config["settings"])
    reporter: _WorkerReporter | None = None
    evaluate: Evaluate | None = None
    if rank == 0:
        evaluate = evaluation_of(settings)
        images_a_step = settings.optimiser.batch_size // world * world
        kept_in = Path(config["kept_in"])
        reporter = _WorkerReporter(config["tracking_uri"], config["run_id"], kept_in, board, images_a_step)
    try:
        return train_loop(
            settings,
            FrameStore.open(config["frames"]),
            Path(config["folder"]),
            reporter,
            distributed.group.WORLD if world > 1 else None,
            evaluate,
            None if config["instances"] is None else InstanceTable.open(location(config["instances"])),
        )
    except SsatError as error:
        ray.get(board.fail.remote(error))
        raise
    finally:
        if reporter is not None:
            reporter.close()


class _WorkerReporter(MlflowReporter):
    """Rank 0's reporter: numbers to MLflow, progress to the process that owns the terminal, images to the counters."""

    def __init__(self, tracking_uri: str, run_id: str, kept_in: Path, board: Any, images_a_step: int) -> None:
        super().__init__(tracking_uri, run_id, kept_in)
        self._board = board
        self._images_a_step = images_a_step
        self._counted: int | None = None

    def progress(self, done: int, total: int, what: str, note: str = "") -> None:
        # After a resumption, work of other workers is not counted.
        if self._counted is not None:
            count(TRAINED_IMAGES, (done - self._counted) * self._images_a_step)
        self._counted = done
        self._board.set.remote((done, total, what, note))
