"""The whole pipeline: collect, decode, train, benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.stages.collect import STAGE as COLLECT
from flows.stages.decode import STAGE as DECODE
from flows.stages.train import STAGE as TRAIN
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.finished import RunResult, with_trained

_Result = TypeVar("_Result")


@flow(name="run", persist_result=False)
def run_flow(
    workspace: str,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings | None,
) -> RunResult:
    """Run the four stages in order, each as a flow that skips finished work.

    Without `benchmark` settings the pipeline ends with the trained embedder.
    """
    minutes: dict[str, float] = {}

    def stage(name: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        minutes[name] = round((time.monotonic() - began) / 60, 2)
        return result

    collected = stage("collect", lambda: run_stage(COLLECT, workspace, collect))
    decoded = stage("decode", lambda: run_stage(DECODE, workspace, decode))
    trained = stage("train", lambda: run_stage(TRAIN, workspace, train))
    scored = None
    if benchmark is not None:
        chosen = with_trained(benchmark, Workspace.open(workspace), trained)
        scored = stage("benchmark", lambda: run_stage(BENCHMARK, workspace, chosen))
    result = RunResult(minutes, collected, decoded, trained, scored)
    create_table_artifact(
        table=[{"stage": name, "minutes": minutes} for name, minutes in result.minutes.items()],
        key="run",
        description="Minutes of each stage",
    )
    return result
