"""Run: the four stages in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from flows.stage import Needs, Stage, check_pipeline, stage_named
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.settings import StageSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.finished import RunResult


class RunSettings(StageSettings):
    """Which stages a run has."""

    section: ClassVar[str] = "run"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    benchmark: bool = Field(True, description="End with the benchmark, or with the embedder")


@dataclass(frozen=True)
class RunBundle:
    """The settings of a run, and those of its stages; `benchmark` is None if the run ends with the embedder."""

    settings: RunSettings
    collect: CollectSettings
    decode: DecodeSettings
    train: TrainSettings
    benchmark: BenchmarkSettings | None


class Run(Stage[RunBundle, "RunResult"]):
    """Collect, decode, train and benchmark, in that order; only missing work is done.

    An option of several stages is given for each, with the stage's name in front; the seed is one for all.
    """

    name = "run"
    settings = RunSettings
    bundle = RunBundle
    presets = "training"
    examples = (
        "ssat run --source videos/ --mot MOT17/train --detections det_yolox.txt --min-score 0.6",
        "ssat run --source kinetics-600_test.csv --collect-clips 800 --preset paper --mot MOT17/train",
        "ssat run --source urls.txt --no-benchmark --json",
    )

    def left_out(self, settings: StageSettings) -> frozenset[str]:
        return frozenset() if isinstance(settings, RunSettings) and settings.benchmark else frozenset({"benchmark"})

    def needs(self, settings: RunBundle) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check(self, workspace: Workspace, settings: RunBundle) -> None:
        stages = {"collect": settings.collect, "decode": settings.decode, "train": settings.train}
        check_pipeline(workspace, {**stages, "benchmark": settings.benchmark})

    def finished(self, workspace: Workspace, settings: RunBundle) -> RunResult | None:
        from tasks.finished import finished_run

        return finished_run(workspace, settings.collect, settings.decode, settings.train, settings.benchmark)

    def run(self, workspace: Workspace, settings: RunBundle) -> RunResult:
        from flows.run import run_stages

        return run_stages(workspace, settings)

    def show(self, result: RunResult, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        stages = {"collect": result.collect, "decode": result.decode, "train": result.train}
        for name, part in {**stages, "benchmark": result.benchmark}.items():
            if part is not None:
                stage_named(name).show(part, workspace, console)
        table = Table("stage", title="minutes")
        table.add_column("minutes", justify="right")
        for name, minutes in result.minutes.items():
            table.add_row(name, f"{minutes:.1f}")
        table.add_row("together", f"{sum(result.minutes.values()):.1f}")
        console.print(table)

    def message(self, result: RunResult) -> str:
        last = ("train", result.train) if result.benchmark is None else ("benchmark", result.benchmark)
        return stage_named(last[0]).message(last[1])


STAGE = Run()
