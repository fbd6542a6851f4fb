"""The whole pipeline: collect, decode, train, benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.benchmark import benchmark_flow
from flows.decode import decode_flow
from flows.stage_flow import run_stage
from flows.stages.collect import STAGE as COLLECT
from flows.train import train_flow
from ssat.clips.collected import CollectResult
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.benchmark_inputs import prepare
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.checks import refuse_dry_writer
from tasks.decode import DecodedStore, DryDecoding
from tasks.train import TrainedEmbedder

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class RunResult:
    """The result of each stage, and the minutes that each took; `benchmark` is None where it was not asked for."""

    minutes: dict[str, float]
    collect: CollectResult
    decode: DecodedStore | DryDecoding
    train: TrainedEmbedder
    benchmark: BenchmarkResult | None

    def as_json(self) -> Mapping[str, object]:
        """Return the stages by name; the benchmark's scores stand once more at the top."""
        stages = {"minutes": self.minutes, "collect": self.collect, "decode": self.decode, "train": self.train}
        if self.benchmark is None:
            return stages
        scores = {"sequences": self.benchmark.sequences, "overall": self.benchmark.overall}
        return {**stages, "benchmark": self.benchmark, **scores}


@flow(name="run", persist_result=False)
def run_flow(
    workspace: str,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings | None,
) -> RunResult:
    """The four stages in order, each as a flow of its own that skips what is done already.

    Without `benchmark` settings the pipeline ends with the trained embedder.
    """
    if benchmark is not None:
        # Sequences and detections that cannot be used are found before hours of work rather than after them.
        prepare(benchmark)
    refuse_dry_writer(decode)
    minutes: dict[str, float] = {}

    def stage(name: str, work: Callable[[], _Result]) -> _Result:
        began = time.monotonic()
        result = work()
        minutes[name] = round((time.monotonic() - began) / 60, 2)
        return result

    collected = stage("collect", lambda: run_stage(COLLECT, workspace, collect))
    decoded = stage("decode", lambda: decode_flow(workspace, decode))
    trained = stage("train", lambda: train_flow(workspace, train))
    scored = None
    if benchmark is not None:
        # By name, not "the latest": a training that was done before need not be the latest one of the workspace.
        embedder = str(Workspace.open(workspace).absolute(trained.embedder))
        chosen = benchmark if benchmark.embedder else benchmark.model_copy(update={"embedder": embedder})
        scored = stage("benchmark", lambda: benchmark_flow(workspace, chosen))
    result = RunResult(minutes, collected, decoded, trained, scored)
    create_table_artifact(
        table=[{"stage": name, "minutes": minutes} for name, minutes in result.minutes.items()],
        key="run",
        description="Minutes of each stage",
    )
    return result
