"""`ssat demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.demo.settings import DemoSettings

if TYPE_CHECKING:
    from flows.demo import DemoResult

_FOLDER = "demo"


@click.command(epilog="Example: ssat demo --workspace workspace")
@common_options
@click.option("--tracking", is_flag=True, help="Only track its two sequences: no training, no servers; half a minute.")
@settings_options(DemoSettings)
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, tracking: bool, demo_given: dict[str, Any]
) -> None:
    """Render a small world and run the whole pipeline on it; no account, data or GPU is needed.

    Clips without labels are rendered, served on loopback, collected, decoded and learned from; then two sequences with
    ground truth are tracked with SSAT, with its box term alone and with an untrained network, on the same detections.
    Everything is written to the folder `demo` of the workspace. Ends with exit code 1 if SSAT does not win on IDF1.

    With --tracking only the two sequences are rendered and tracked, by methods that need no training.
    """
    settings = build_settings(DemoSettings, config=config, preset=None, given=demo_given)

    from ssat.demo.world import world_folder
    from ssat.workspace import Workspace

    # The demo has a workspace of its own, separate from the user's experiment.
    own = Workspace.open(Path(workspace) / _FOLDER)
    world = world_folder(own.root, settings)
    if tracking:
        _track(own.root, world, settings, as_json)
        return
    from tasks.services import services

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
    if not result.won:
        click.echo("ssat demo: SSAT did not win on IDF1: see the table; this is a defect of the demo", err=True)
    if as_json:
        print_json(result)
    if not result.won:
        raise SystemExit(1)


def _track(root: Path, world: Path, settings: DemoSettings, as_json: bool) -> None:
    """Render and track the two sequences; show the scores, write results and a video."""
    from rich.console import Console

    from ssat.demo.comparison import BOX, COLOUR, compare, result_path, untrained_methods
    from ssat.demo.showcase import write_showcase
    from ssat.demo.world import SEQUENCES, write_sequences
    from ssat.mot.find import find_sequences
    from ssat.report.tables import score_table
    from tasks.progress import progress_bar

    methods, results = untrained_methods(), root / "tracking"
    with progress_bar("rendering and tracking", len(SEQUENCES) * (1 + len(methods))) as advance:
        mot = write_sequences(world / "mot", settings, advance=advance)
        scores = compare(mot, methods, results, advance=advance)
    video, stills = results / "tracking.mp4", results / "tracking.png"
    shown = {name: {method: result_path(results, method, name) for method in (BOX, COLOUR)} for name in SEQUENCES}
    write_showcase(find_sequences(mot), shown, video, stills, count=4)
    rows = {name: score.to_dict() for name, score in scores.items()}
    title = "Rendered world, both sequences, same detections, protocol motchallenge"
    Console(stderr=as_json).print(score_table(rows, None, title))
    click.echo(f"results {results}\nvideo   {video}", err=as_json)
    if as_json:
        print_json({"methods": rows, "results": str(results), "video": str(video)})


def _show(result: DemoResult, root: Path, as_json: bool) -> None:
    from rich.console import Console

    from ssat.report.tables import score_table

    rows = {title: scored.as_json() for title, scored in result.all.items()}
    Console(stderr=as_json).print(score_table(rows, None, "Rendered world, both sequences, same detections"))
    files = result.files
    for line in (
        f"scores  {files.json}",
        f"report  {files.report}",
        f"video   {files.video}",
        f"pages   ssat ui --workspace {root}   (starts the web interfaces of Prefect and MLflow on loopback)",
        f"minutes {sum(result.minutes.values()):.1f}: "
        + ", ".join(f"{stage} {value:.1f}" for stage, value in result.minutes.items()),
    ):
        click.echo(line, err=as_json)
