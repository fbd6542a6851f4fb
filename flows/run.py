"""The whole pipeline, each stage as a flow that skips finished work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.stages.collect import STAGE as COLLECT
from flows.stages.decode import STAGE as DECODE
from flows.stages.train import STAGE as TRAIN
from ssat.workspace import Workspace
from tasks.finished import RunResult, with_trained

if TYPE_CHECKING:
    from flows.stages.run import RunBundle

_Result = TypeVar("_Result")


def run_stages(workspace: Workspace, settings: RunBundle) -> RunResult:
    """Run the four stages in order; without settings of the benchmark the pipeline ends with the trained embedder."""
    minutes: dict[str, float] = {}
    place = workspace.address

    def timed(name: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        minutes[name] = round((time.monotonic() - began) / 60, 2)
        return result

    collected = timed("collect", lambda: run_stage(COLLECT, place, settings.collect))
    decoded = timed("decode", lambda: run_stage(DECODE, place, settings.decode))
    trained = timed("train", lambda: run_stage(TRAIN, place, settings.train))
    scored = None
    if settings.benchmark is not None:
        chosen = with_trained(settings.benchmark, workspace, trained)
        scored = timed("benchmark", lambda: run_stage(BENCHMARK, place, chosen))
    create_table_artifact(
        table=[{"stage": name, "minutes": taken} for name, taken in minutes.items()],
        key="run",
        description="Minutes of each stage",
    )
    return RunResult(minutes, collected, decoded, trained, scored)
