"""`ssat scale`: one rung further."""

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
from flows.stage import check_stage
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.settings import ScaleSettings

if TYPE_CHECKING:
    from ssat.scale.ladder import ClimbResult

# Settings that each rung sets itself.
OWN_FIELDS = {
    "collect": frozenset({"clips"}),
    "train": frozenset({"clips"}),
    "benchmark": frozenset({"embedder"}),
}


@click.command(
    cls=SectionedCommand,
    epilog="""\b
Examples:
  ssat scale --source kinetics-600_test.csv --mot MOT17/train
  ssat scale --source videos/ --mot MOT17/train --hours 8 --gib 200 --rungs 3
  ssat scale --config ssat.toml --ladder 160 --ladder 320 --json
""",
)
@common_options
@preset_option
@pipeline_options([ScaleSettings, CollectSettings, DecodeSettings, TrainSettings, BenchmarkSettings], skip=OWN_FIELDS)
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    scale_given: dict[str, Any],
    collect_given: dict[str, Any],
    decode_given: dict[str, Any],
    train_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Run the next training size of the ladder; each run takes the next one.

    A rung is collected, decoded, trained from the one before and benchmarked; an embedder that tracks better than the
    champion is promoted, one that does not is reported. A run stops cleanly when a budget is spent and continues from
    there the next time.
    """
    common: dict[str, Any] = {"config": config, "preset": preset}
    scale = build_settings(ScaleSettings, given=scale_given, **common)
    collect = build_settings(CollectSettings, given=collect_given, **common)
    decode = build_settings(DecodeSettings, given=decode_given, **common)
    train = build_settings(TrainSettings, given=train_given, **common)
    benchmark = build_settings(BenchmarkSettings, given=benchmark_given, **common)

    from ssat.errors import InputError
    from ssat.workspace import Workspace
    from tasks.checks import refuse_dry_writer

    # Before hours of work, and before a service starts.
    if not benchmark.needs_appearance:
        raise InputError(f"setting benchmark.tracker: {benchmark.tracker} uses no features; use ssat")
    opened = Workspace.open(workspace)
    check_stage("collect", opened, collect)
    refuse_dry_writer(decode)
    check_stage("train", opened, train, follows=True)
    check_stage("benchmark", opened, benchmark, follows=True)

    from flows.scale import scale_flow
    from tasks.services import services

    with services(opened, ray=True, mlflow=True, debug=debug):
        result = scale_flow(workspace, scale, collect, decode, train, benchmark)
    show_ladder(result, as_json)
    if as_json:
        print_json(result)


def show_ladder(result: ClimbResult, as_json: bool = False) -> None:
    """Print every finished rung and the result of this run."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="ladder of training sizes")
    for name in ("clips", "IDF1", "MOTA", "switches", "minutes"):
        table.add_column(name, justify="right")
    table.add_column("promoted")
    table.add_column("why", overflow="fold")
    for rung in result.ladder:
        scores = rung.overall
        table.add_row(
            f"{rung.clips:,}",
            f"{100 * scores['idf1']:.1f}",
            f"{100 * scores['mota']:.1f}",
            str(scores["idsw"]),
            f"{sum(rung.minutes.values()):.1f}",
            "yes" if rung.promoted else "no",
            rung.verdict,
        )
    Console(stderr=as_json).print(table)
    click.echo(result.summary, err=as_json)
