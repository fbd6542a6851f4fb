"""`ssat demo`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from flows.cli.stage_command import show_result, stage_result
from flows.stage import check_stage
from flows.stages.demo import STAGE
from ssat.demo.settings import DemoSettings

_FOLDER = "demo"


@click.command(help=inspect.getdoc(type(STAGE)), epilog=f"Example: {STAGE.examples[0]}")
@common_options
@click.option("--tracking", is_flag=True, help="Only track its two sequences: no training, no servers; half a minute.")
@settings_options(DemoSettings)
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, tracking: bool, demo_given: dict[str, Any]
) -> None:
    """Run the stage in its own workspace, or track alone."""
    settings = build_settings(DemoSettings, config=config, preset=None, given=demo_given)

    # The demo has a workspace of its own, separate from the user's experiment.
    own = STAGE.open(str(Path(workspace) / _FOLDER), settings)
    check_stage("demo", own, settings)
    if tracking:
        from ssat.demo.world import world_folder

        _track(own.root, world_folder(own.root, settings), settings, as_json)
        return
    click.echo(
        f"Rendering a small world of its own ({settings.clips} clips, two sequences) and running the whole pipeline "
        "on it. The scores say that the pipeline works, not how well it would do on real video.\n"
        "Starting Prefect, MLflow and Ray …",
        err=True,
    )
    result = stage_result(STAGE, own, settings, debug)
    show_result(STAGE, result, own, as_json)
    if problem := STAGE.failure(result):
        click.echo(f"ssat demo: {problem}", err=True)
    if as_json:
        print_json(result)
    if not result.won:
        sys.exit(1)


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
