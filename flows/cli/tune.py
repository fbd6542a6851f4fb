"""`ssat tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import SectionedCommand, build_settings, common_options, print_json, settings_options
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import TuneSettings

if TYPE_CHECKING:
    from ssat.studies.results import TuningStudy
    from tasks.study import StudyResult

# Decided by the settings of the tuning.
_OWN = frozenset(
    {"mot", "split", "sequences", "tracker", "video", "detector", "detector_score", "refine", "refinement"}
)

_SHOWN = ("sequences", "settings", "IDF1", "HOTA", "MOTA", "IDSW")  # the report has all scores


@click.command(
    cls=SectionedCommand, epilog="Example: ssat tune --train MOT17/train --report 2DMOT2015/train --embedder colour"
)
@common_options
@settings_options(TuneSettings)
@settings_options(BenchmarkSettings, skip=_OWN)
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    tune_given: dict[str, Any],
    benchmark_given: dict[str, Any],
) -> None:
    """Tune the preset strong on labelled sequences, and report the settings on other sequences.

    Detections come from files, features from the cache. Trials are kept: the same command continues where it stopped.
    The answer names a settings file for `ssat track --config` and `ssat benchmark --config`.
    """
    settings = build_settings(TuneSettings, config=config, preset=None, given=tune_given)
    given = {**benchmark_given, "mot": settings.report}
    benchmark = build_settings(BenchmarkSettings, config=config, preset="strong", given=given)

    from ssat.pipeline.benchmark_inputs import sequences_of
    from ssat.workspace import Workspace
    from tasks.embedders import check_embedder, resolve_embedder

    place = Workspace.open(workspace)
    for folder in (settings.train, settings.report):
        sequences_of(benchmark.model_copy(update={"mot": folder, "sequences": ()}))
    check_embedder(benchmark.embedder, place)

    from flows.tune import sides_of, tune_flow
    from tasks.services import services

    sides_of(settings, benchmark)
    resolve_embedder(benchmark.embedder, place, reid=benchmark.reid)
    with services(place, ray=True, mlflow=True, debug=debug):
        result = tune_flow(workspace, settings, benchmark)
    _show(Path(workspace), result, as_json)
    if as_json:
        print_json(result)


def _show(workspace: Path, result: StudyResult[TuningStudy], as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=as_json)
    done = " (done before)" if result.reused else ""
    scores = [{heading: row[heading] for heading in _SHOWN} for row in result.content.table]
    tables = {f"tune, protocol {result.content.protocol}{done}": scores, "settings": result.content.settings_table}
    for title, rows in tables.items():
        table = Table(title=title, title_justify="left")
        headings = list(rows[0])
        for n, heading in enumerate(headings):
            table.add_column(heading, justify="left" if n < 1 else "right")
        for row in rows:
            table.add_row(*(str(row[heading]) for heading in headings))
        console.print(table)
    for note in result.content.notes:
        console.print(note, markup=False, style="dim")
    console.print(f"settings: {workspace / result.content.settings_file}", markup=False, soft_wrap=True)
    console.print(f"report: {workspace / result.report}", markup=False, soft_wrap=True)
