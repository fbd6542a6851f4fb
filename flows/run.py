"""The whole pipeline: collect, decode, train, benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.benchmark import benchmark_flow
from flows.collect import collect_flow
from flows.decode import decode_flow
from flows.train import train_flow
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.benchmark_inputs import prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace
from tasks.checks import refuse_dry_writer
from tasks.finished import with_trained


@flow(name="run", persist_result=False)
def run_flow(
    workspace: str,
    collect: CollectSettings,
    decode: DecodeSettings,
    train: TrainSettings,
    benchmark: BenchmarkSettings | None,
) -> dict[str, Any]:
    """The four stages in order, each as a flow of its own that skips what is done already.

    Without `benchmark` settings the pipeline ends with the trained embedder. Gives the result of each stage under its
    name, "minutes" by stage, and the benchmark's "sequences" and "overall" once more at the top.
    """
    if benchmark is not None:
        # Sequences and detections that cannot be used are found before hours of work rather than after them.
        prepare(benchmark)
    refuse_dry_writer(decode)
    result: dict[str, Any] = {"minutes": {}}

    def stage(name: str, work: Callable[[], Any]) -> None:
        began = time.monotonic()
        result[name] = work()
        result["minutes"][name] = round((time.monotonic() - began) / 60, 2)

    stage("collect", lambda: collect_flow(workspace, collect))
    stage("decode", lambda: decode_flow(workspace, decode))
    stage("train", lambda: train_flow(workspace, train))
    if benchmark is not None:
        chosen = with_trained(benchmark, Workspace.open(workspace), result["train"])
        stage("benchmark", lambda: benchmark_flow(workspace, chosen))
        result |= {key: result["benchmark"][key] for key in ("sequences", "overall")}
    create_table_artifact(
        table=[{"stage": name, "minutes": minutes} for name, minutes in result["minutes"].items()],
        key="run",
        description="Minutes of each stage",
    )
    return result
