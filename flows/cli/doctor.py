"""`ssat doctor`: check this machine, with advice for every problem."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from flows.cli.options import common_options, print_json

_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "bad": "[red]bad[/]"}


@click.command(epilog="\b\nExample: ssat doctor --workspace demo\n         ssat doctor --start --json")
@click.option("--start", is_flag=True, help="Also start Prefect, Ray and MLflow once (up to a minute each).")
@common_options
def command(workspace: str, config: Path | None, as_json: bool, debug: bool, start: bool) -> None:
    """Check versions, services, GPU, disk, codecs and the workspace; each line states what to do.

    The exit code is 0 if the embedded default works (a note does no harm) and 2 where it does not.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from flows.cli.options import config_sections
    from ssat.settings import read_config
    from tasks.doctor import examine

    if config is not None:
        read_config(config, config_sections())
    checks = list(examine(workspace, start=start))
    table = Table("check", "", "found", "what to do", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.name, _MARKS[check.state], escape(check.found), escape(check.advice))
    Console(stderr=as_json).print(table)
    fit = all(check.state != "bad" for check in checks)
    if as_json:
        print_json({"fit": fit, "checks": [asdict(check) for check in checks]})
    if not fit:
        sys.exit(2)
