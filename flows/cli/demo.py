"""`ssat demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.demo.settings import DemoSettings

_FOLDER = "demo"


@click.command(epilog="Example: ssat demo --workspace workspace")
@common_options
@settings_options(DemoSettings)
def command(workspace: str, config: Path | None, as_json: bool, debug: bool, demo_given: dict[str, Any]) -> None:
    """Render a small world and run the whole pipeline on it; no account, data or GPU is needed.

    Clips without labels are rendered, served on loopback, collected, decoded and learnt from; then two sequences with
    ground truth are tracked with SSAT, with its box term alone and with an untrained network, on the same detections.
    Everything is written to the folder `demo` of the workspace. Ends with exit code 1 if SSAT does not win on IDF1.
    """
    settings = build_settings(DemoSettings, config=config, preset=None, given=demo_given)

    from ssat.demo.world import world_folder
    from ssat.workspace import Workspace
    from tasks.services import services

    # The demo keeps its clips apart from those of the user's own experiment.
    own = Workspace.open(Path(workspace) / _FOLDER)
    world_folder(own.root, settings)
    click.echo(
        f"Rendering a small world of its own ({settings.clips} clips, two sequences) and running the whole pipeline "
        "on it. The scores say that the pipeline works, not how well it would do on real video.\n"
        "Starting Prefect, MLflow and Ray …",
        err=True,
    )
    with services(own, ray=True, mlflow=True, debug=debug):
        from flows.demo import demo_flow

        result = demo_flow(str(own.root), settings)
    _show(result, own.root, as_json)
    if not result["won"]:
        click.echo("ssat demo: SSAT did not win on IDF1: see the table; this is a defect of the demo", err=True)
    if as_json:
        print_json({key: value for key, value in result.items() if key != "train"})
    if not result["won"]:
        raise SystemExit(1)


def _show(result: dict[str, Any], root: Path, as_json: bool) -> None:
    from rich.console import Console

    from ssat.report.tables import score_table

    Console(stderr=as_json).print(score_table(result["all"], None, "Rendered world, both sequences, same detections"))
    files = result["files"]
    for line in (
        f"scores  {files['json']}",
        f"report  {files['report']}",
        f"video   {files['video']}",
        f"pages   ssat ui --workspace {root}   (starts the web interfaces of Prefect and MLflow on loopback)",
        f"minutes {sum(result['minutes'].values()):.1f}: "
        + ", ".join(f"{stage} {value:.1f}" for stage, value in result["minutes"].items()),
    ):
        click.echo(line, err=as_json)
