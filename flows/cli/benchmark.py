"""`ssat benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.mot.settings import BenchmarkSettings


@click.command(
    epilog="Example: ssat benchmark --mot MOT17/train --sequences MOT17-09-FRCNN --split val-half "
    "--detections public --protocol motchallenge"
)
@common_options
@preset_option
@settings_options(BenchmarkSettings)
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, preset: str, benchmark_given: dict[str, Any]
) -> None:
    """Track MOTChallenge sequences and score the result."""
    settings = build_settings(BenchmarkSettings, config=config, preset=preset, given=benchmark_given)

    from flows.benchmark import benchmark_flow
    from ssat.workspace import Workspace
    from tasks.services import services

    with services(Workspace.open(workspace), mlflow=True, debug=debug):
        result = benchmark_flow(workspace, settings)
    show_benchmark(workspace, result, as_json)
    if as_json:
        print_json(result)


def show_benchmark(workspace: str, result: dict[str, Any], as_json: bool = False) -> None:
    """The summary table of a benchmark, and where its files lie."""
    from rich.console import Console

    from flows.benchmark import headline
    from ssat.report.tables import score_table

    console = Console(stderr=as_json)
    title = headline(result) + (" (done before)" if result["reused"] else "")
    console.print(score_table(result["sequences"], result["overall"], title))
    for name, reason in result["skipped"].items():
        console.print(f"left out: {name}: {reason}", markup=False)
    console.print(f"report: {Path(workspace) / result['report']}", markup=False, soft_wrap=True)
