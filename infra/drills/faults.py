"""The faults: when each is due, what it does, and how it is healed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.services import processes
from infra.services.definitions import RAY_NODES
from infra.services.stack import Stack

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@dataclass
class Scene:
    """What a fault may touch: the services, the workspace, and the command that runs a stage in it."""

    stack: Stack
    workspace: Path
    command: subprocess.Popen[bytes]
    clock: Path
    outage_s: float


@dataclass(frozen=True)
class Drill:
    """One line of the table."""

    title: str
    stage: str
    due: Callable[[Scene], bool]
    strike: Callable[[Scene], None]
    faked_clock: bool = False
    small_disk: bool = False
    twice: bool = False


def collecting(scene: Scene) -> bool:
    """Two clips are there and more are wanted."""
    return len(list((scene.workspace / "clips" / "trimmed").rglob("[!.]*.mp4"))) >= 2


def decoding(scene: Scene) -> bool:
    """A worker of Ray has frames in its hands."""
    return bool(ray_workers(scene.stack, "_write_shard")) and any((scene.workspace / "frames").glob(".spool/*"))


def training(scene: Scene) -> bool:
    """Some steps are done, and kept."""
    steps = [int(path.name.removeprefix("step-")) for path in scene.workspace.glob("training/*/checkpoints/step-*")]
    return max(steps, default=0) >= 4


def benchmarking(scene: Scene) -> bool:
    """The first sequence is tracked."""
    return any(scene.workspace.glob("benchmark/*/DEMO-01.json"))


def ray_workers(stack: Stack, title: str) -> list[psutil.Process]:
    """Ray's worker processes whose title holds `title`, on all nodes."""
    found = []
    for name in RAY_NODES:
        started = stack.started(name)
        for process in processes.family(started) if started is not None else []:
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if line.startswith("ray::") and title in line:
                    found.append(process)
    return found


def kill_flow(scene: Scene) -> None:
    """kill -9 of the command and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(scene.command.pid, signal.SIGKILL)
    scene.command.wait()


def kill_worker(title: str) -> Callable[[Scene], None]:
    """kill -9 of one of Ray's workers."""

    def strike(scene: Scene) -> None:
        ray_workers(scene.stack, title)[0].kill()

    return strike


def kill_service(name: str) -> Callable[[Scene], None]:
    """kill -9 of a service and all that it started; it is started again after five seconds."""

    def strike(scene: Scene) -> None:
        started = scene.stack.started(name)
        if started is None:
            raise RuntimeError(f"{name} does not run")
        processes.kill(started)
        time.sleep(5)
        scene.stack.start(name)

    return strike


def cut_off(name: str) -> Callable[[Scene], None]:
    """The service takes connections and says nothing for the length of the outage, as behind a network that drops."""

    def strike(scene: Scene) -> None:
        started = scene.stack.started(name)
        if started is None:
            raise RuntimeError(f"{name} does not run")
        processes.signal_all(started, signal.SIGSTOP)
        try:
            time.sleep(scene.outage_s)
        finally:
            processes.signal_all(started, signal.SIGCONT)
        if name in RAY_NODES:
            _supervise(scene.stack, name)

    return strike


def _supervise(stack: Stack, name: str, for_s: float = 20.0) -> None:
    """A Ray node that was silent for too long was given up; it ends itself when it hears of that, and starts anew."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        processes.reap()
        stack.start(name)  # nothing, while it runs
        time.sleep(0.5)


def jump(scene: Scene) -> None:
    """The clock of the command goes a day ahead, then two days back."""
    scene.clock.write_text("+1d\n")
    time.sleep(2)
    scene.clock.write_text("-1d\n")


def nothing(scene: Scene) -> None:
    """The fault was there from the beginning."""


def at_once(scene: Scene) -> bool:
    """No need to wait."""
    return True


DRILLS = (
    Drill("kill -9 of the flow: collect", "collect", collecting, kill_flow),
    Drill("kill -9 of the flow: decode", "decode", decoding, kill_flow),
    Drill("kill -9 of the flow: train", "train", training, kill_flow),
    Drill("kill -9 of the flow: benchmark", "benchmark", benchmarking, kill_flow),
    Drill("kill -9 of a Ray worker: decode", "decode", decoding, kill_worker("_write_shard")),
    Drill("kill -9 of a Ray worker: train", "train", training, kill_worker("TrainWorker")),
    Drill("kill -9 of a Ray node: train", "train", training, kill_service("ray-worker-2")),
    Drill("kill -9 of the Prefect server: collect", "collect", collecting, kill_service("prefect")),
    Drill("kill -9 of the Prefect server: train", "train", training, kill_service("prefect")),
    Drill("kill -9 of the MLflow server: train", "train", training, kill_service("mlflow")),
    Drill("kill -9 of Postgres: train", "train", training, kill_service("postgres")),
    Drill("disk full: collect", "collect", at_once, nothing, small_disk=True),
    Drill("disk full: decode", "decode", at_once, nothing, small_disk=True),
    Drill("network loss to Prefect: collect", "collect", collecting, cut_off("prefect")),
    Drill("network loss to MLflow: train", "train", training, cut_off("mlflow")),
    Drill("network loss to Postgres: train", "train", training, cut_off("postgres")),
    Drill("network loss to a Ray node: train", "train", training, cut_off("ray-worker-2")),
    Drill("clock jump: collect", "collect", collecting, jump, faked_clock=True),
    Drill("the same flow twice: collect", "collect", at_once, nothing, twice=True),
    Drill("the same flow twice: decode", "decode", at_once, nothing, twice=True),
    Drill("the same flow twice: train", "train", at_once, nothing, twice=True),
)
