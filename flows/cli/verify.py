"""`ssat verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import CONFIG_SECTIONS, common_options, print_json

if TYPE_CHECKING:
    from flows.verify import StoreCheck


@click.command(
    epilog="""\b
Examples:
  ssat verify --workspace workspace
  ssat verify --sample 0.05 --repair
"""
)
@common_options
@click.option(
    "--sample",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of the JPEGs that are decoded; digests, checksums and headers are checked of all.",
)
@click.option("--repair", is_flag=True, help="Decode the clips of broken shards again.")
def command(workspace: str, config: Path | None, as_json: bool, debug: bool, sample: float, repair: bool) -> None:
    """Check the frame store against its manifest; exit code 1 where something is broken and was not repaired."""
    from ssat.errors import InputError
    from ssat.remote import is_remote
    from ssat.settings import read_config

    if config:
        read_config(config, CONFIG_SECTIONS)
    if not is_remote(workspace) and not Path(workspace).expanduser().is_dir():
        raise InputError(f"workspace {workspace}: no such folder; nothing was decoded there")

    from ssat.workspace import Workspace
    from tasks.checks import check_verify

    opened = Workspace.open(workspace, objects=True, read_only=not repair)
    check_verify(opened)

    from flows.verify import verify_flow
    from tasks.services import services

    with services(opened, ray=True, debug=debug):
        result = verify_flow(workspace, sample, repair)
    show_check(result, as_json)
    if as_json:
        print_json(result)
    if result.broken and not result.repaired:
        sys.exit(1)


def show_check(result: StoreCheck, as_json: bool = False) -> None:
    """The problems of each broken shard, and a line that sums up."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=as_json)
    if result.broken:
        table = Table(title="broken shards")
        table.add_column("shard", overflow="fold")
        table.add_column("problem", overflow="fold")
        for shard in result.broken:
            for problem in shard.problems:
                table.add_row(str(shard.index), problem)
        console.print(table)
    state = (
        "sound"
        if not result.broken
        else "repaired"
        if result.repaired
        else "broken: run `ssat verify --repair` to decode them again"
    )
    console.print(
        f"{result.shards} shards, {result.rows:,} rows, {result.jpegs_decoded:,} JPEGs decoded: "
        f"{len(result.broken)} broken; {state}",
        markup=False,
        highlight=False,
    )
    if result.digest_changed:
        console.print(f"the data digest is now {result.digest}: a library has another version than before")
    if result.outdated:
        console.print(f"built by an earlier ssat: {result.outdated}", markup=False, highlight=False, soft_wrap=True)
