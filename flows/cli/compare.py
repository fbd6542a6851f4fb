"""`ssat compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import common_options, print_json

if TYPE_CHECKING:
    from tasks.compare import ComparisonResult


@click.command(
    epilog="""\b
Examples:
  ssat compare 3f9a1c0d 77b02e5c
  ssat compare --experiment ssat-train --against champion
"""
)
@click.argument("runs", nargs=-1, metavar="RUN...")
@common_options
@click.option("--experiment", help="All finished runs of this MLflow experiment.")
@click.option("--against", metavar="RUN", help="The run to measure against: an id, or champion; by default the first.")
@click.option(
    "--metric",
    type=click.Choice(["idf1", "mota", "hota"]),
    default="idf1",
    show_default=True,
    help="Of the gains and losses of single sequences.",
)
def command(
    runs: tuple[str, ...],
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    experiment: str | None,
    against: str | None,
    metric: str,
) -> None:
    """Compare runs: parameters that differ, scores, curves, which sequence gained and lost, with its videos.

    RUN is an MLflow run id, six or more of its first characters, or champion.
    """
    del config  # every verb takes it; there is nothing to configure here
    if not runs and experiment is None:
        raise click.UsageError("name two or more runs, or --experiment NAME")

    from ssat.workspace import Workspace
    from tasks.checks import check_runs

    opened = Workspace.open(workspace)
    check_runs(opened, [*runs, *([against] if against is not None else [])])

    from flows.compare import compare_flow
    from tasks.services import services

    with services(opened, mlflow=True, debug=debug):
        result = compare_flow(workspace, runs, experiment, against, metric)
    _show(workspace, result, as_json)
    if as_json:
        print_json(result)


def _show(workspace: str, result: ComparisonResult, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=as_json)
    changes = [
        {
            **asdict(change),
            "before": f"{change.before:.1f}",
            "after": f"{change.after:.1f}",
            "gain": f"{change.gain:+.1f}",
        }
        for change in result.sequences
    ]
    named = (("scores", result.scores), ("parameters that differ", result.parameters), ("sequences", changes))
    for title, rows in named:
        if not rows:
            console.print(f"{title}: none", markup=False)
            continue
        table = Table(title=title, title_justify="left")
        for n, heading in enumerate(rows[0]):
            table.add_column(heading, justify="left" if n == 0 else "right")
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
    console.print(f"report: {Path(workspace) / result.report}", markup=False, soft_wrap=True)
