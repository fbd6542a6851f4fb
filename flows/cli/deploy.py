"""`ssat deploy`: prefect.yaml onto a Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import common_options, config_sections, preset_option, print_json

if TYPE_CHECKING:
    from flows.registration import RegisteredDeployment


@click.command(
    epilog="""\b
Examples:
  ssat deploy --workspace /data/ssat --config ssat.toml
  ssat deploy verify collect --workspace /data/ssat
"""
)
@click.argument("names", nargs=-1, metavar="[FLOW]...")
@click.option("--file", "file", type=click.Path(path_type=Path), help="Another file than this project's prefect.yaml.")
@preset_option
@common_options
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    file: Path | None,
    names: tuple[str, ...],
) -> None:
    """Register the flows of prefect.yaml, or only those named, with the Prefect server of PREFECT_API_URL.

    Their parameters are the preset and the sections of --config, checked here and again by each run. Makes the work
    pool where it is missing; `prefect worker start --pool ssat` then runs what is due. A schedule that was switched
    off on the page stays off. SSAT_WEBHOOK_URL, where set, is stored as the secret Prefect block webhook/ssat.
    """
    import os

    from ssat.errors import ServiceError
    from ssat.settings import read_config

    sections = read_config(config, config_sections()) if config else {}
    if not os.environ.get("PREFECT_API_URL"):
        raise ServiceError(
            "Prefect: PREFECT_API_URL names no server to register with; set it, or run `ssat serve`, which needs none"
        )
    from flows.deployment_file import check_deployments, prefect_file

    path = prefect_file(file)
    check_deployments(path, names)

    from ssat.workspace import Workspace
    from tasks.services import prefect_session

    with prefect_session(Workspace(Path(workspace)), debug=debug):
        from flows.registration import build_deployments, read_entries, register

        entries = read_entries(path, names)
        made = build_deployments(path, entries, workspace, preset, sections, work_pool=True)
        rows = register(entries, made)
    _show(rows, as_json)
    if as_json:
        print_json({"deployments": rows})


def _show(rows: list[RegisteredDeployment], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="deployments")
    for name in ("deployment", "schedule", "work pool"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.deployment, row.schedule, row.work_pool)
    Console(stderr=as_json).print(table)
    pools = " ".join(sorted({row.work_pool for row in rows}))
    click.echo(f"A worker runs them: prefect worker start --pool {pools}", err=as_json)
