"""`ssat colours`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.patches.settings import ColoursSettings

if TYPE_CHECKING:
    from tasks.colours import LearnedColours

_NO_SCORE = "not measured: no two patches of held-out clips are seen together"


@click.command(epilog="Example: ssat colours --workspace workspace")
@common_options
@settings_options(ColoursSettings)
def command(workspace: str, config: Path | None, as_json: bool, debug: bool, colours_given: dict[str, Any]) -> None:
    """Learn in a minute which colours tell things apart, from patches followed through the collected clips.

    Beyond the paper: no network is trained. Optical flow follows boxes through every clip; a colour histogram's cells,
    mean and whitening are taken from them. The result is an embedder like that of `ssat train`: what takes the latest
    training takes it.
    """
    settings = build_settings(ColoursSettings, config=config, preset=None, given=colours_given)

    from ssat.clips.roster import load_roster
    from ssat.workspace import Workspace
    from tasks.services import services

    opened = Workspace.open(workspace)
    load_roster(opened)  # what is missing is said before anything starts
    from flows.colours import colours_flow

    with services(opened, ray=True, mlflow=True, debug=debug):
        result = colours_flow(workspace, settings)
    _show(result, as_json)
    if as_json:
        print_json(result)


def _show(result: LearnedColours, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="learned colours" + (" (done before)" if result.reused else ""), show_header=False)
    scores = {name: f"{value:.3f}" for name, value in result.held_out.items() if name != "pairs"}
    rows = {
        "clips": str(result.clips),
        "of them without a patch, unreadable": f"{result.without_patches}, {result.unreadable}",
        "patches": f"{result.patches}, {result.moving} of them move",
        **({f"held-out {name}": text for name, text in scores.items()} or {"held-out score": _NO_SCORE}),
        "embedder": result.embedder,
        "MLflow run": result.mlflow_run_id,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(stderr=as_json).print(table)
