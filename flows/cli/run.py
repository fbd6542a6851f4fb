"""`ssat run`: the four stages in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import (
    SectionedCommand,
    build_settings,
    common_options,
    pipeline_options,
    preset_option,
    print_json,
)
from flows.stage import check_pipeline, stage_named
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings

if TYPE_CHECKING:
    from tasks.finished import RunResult


@click.command(
    cls=SectionedCommand,
    epilog="""\b
Examples:
  ssat run --source videos/ --mot MOT17/train --detections det_yolox.txt --min-score 0.6
  ssat run --source kinetics-600_test.csv --collect-clips 800 --preset paper --mot MOT17/train
  ssat run --source urls.txt --no-benchmark --json
""",
)
@common_options
@preset_option
@click.option(
    "--benchmark/--no-benchmark", "with_benchmark", default=True, help="End with the benchmark, or with the embedder."
)
@pipeline_options([CollectSettings, DecodeSettings, TrainSettings, BenchmarkSettings])
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    with_benchmark: bool,
    collect_given: dict[str, Any],
    decode_given: dict[str, Any],
    train_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Collect, decode, train and benchmark, in that order; only missing work is done.

    An option of several stages is given for each, with the stage's name in front; the seed is one for all.
    """
    common: dict[str, Any] = {"config": config, "preset": preset}
    collect = build_settings(CollectSettings, given=collect_given, **common)
    decode = build_settings(DecodeSettings, given=decode_given, **common)
    train = build_settings(TrainSettings, given=train_given, **common)
    benchmark = build_settings(BenchmarkSettings, given=benchmark_given, **common) if with_benchmark else None

    from ssat.workspace import Workspace

    opened = Workspace.open(workspace)
    check_pipeline(opened, {"collect": collect, "decode": decode, "train": train, "benchmark": benchmark})

    from tasks.finished import finished_run

    result = finished_run(opened, collect, decode, train, benchmark)
    if result is None:
        from flows.run import run_flow
        from tasks.services import services

        with services(opened, ray=True, mlflow=True, debug=debug):
            result = run_flow(workspace, collect, decode, train, benchmark)
    _show(workspace, result, as_json)
    if as_json:
        print_json(result)


def _show(workspace: str, result: RunResult, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from ssat.workspace import Workspace

    opened, console = Workspace.open(workspace), Console(stderr=as_json)
    stage_named("collect").show(result.collect, opened, console)
    stage_named("decode").show(result.decode, opened, console)
    stage_named("train").show(result.train, opened, console)
    if result.benchmark is not None:
        stage_named("benchmark").show(result.benchmark, opened, console)
    table = Table("stage", title="minutes")
    table.add_column("minutes", justify="right")
    for name, minutes in result.minutes.items():
        table.add_row(name, f"{minutes:.1f}")
    table.add_row("together", f"{sum(result.minutes.values()):.1f}")
    console.print(table)
