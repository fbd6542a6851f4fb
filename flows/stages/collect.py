"""Collect clips: a list, a folder or URLs in, trimmed clips and their roster out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from flows.stage import Stage
from ssat.clips.collected import CollectResult
from ssat.clips.settings import CollectSettings
from ssat.errors import InputError
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class NothingCollectedError(InputError):
    """Not one clip. `stopped`: the budget or pause that ended the run before the first, empty if all failed."""

    def __init__(self, message: str, stopped: str) -> None:
        super().__init__(message)
        self.stopped = stopped


class Collect(Stage[CollectSettings, CollectResult]):
    """Download and trim clips from a Kinetics CSV, a text file with a URL per line, or a folder of videos.

    Run again, it does only what is missing; asked for more clips, it keeps the class ids of the others.
    """

    name = "collect"
    settings = CollectSettings
    presets = "training"
    examples = (
        "ssat collect --source kinetics-600_test.csv --clips 160",
        "ssat collect --source videos/ --workspace workspace",
        "ssat collect --source urls.txt --retry-dead",
        "ssat collect --status",
    )

    def check(self, workspace: Workspace, settings: CollectSettings) -> None:
        from ssat.clips.lists import read_list
        from tasks.checks import check_source

        source = check_source(workspace, settings)
        read_list(source, url_template=settings.url_template, min_seconds=settings.min_seconds)

    def finished(self, workspace: Workspace, settings: CollectSettings) -> CollectResult | None:
        from tasks.finished import finished_collecting

        return finished_collecting(workspace, settings)

    def run(self, workspace: Workspace, settings: CollectSettings) -> CollectResult:
        from tasks.checks import check_source
        from tasks.collect import collect_clips

        check_source(workspace, settings)  # a link may have been put in its place while the run waited for its turn
        result = collect_clips(workspace, settings)
        if not result.clips:
            counts = ", ".join(f"{count} {name}" for name, count in result.by_class.items()) or "none attempted"
            advice = "`ssat collect --status` counts the reasons, clips/status/ in the workspace has all"
            problem = f"{settings.source}: no clip could be collected ({counts})"
            raise NothingCollectedError(f"{problem}. {result.stopped or advice}", result.stopped)
        return result

    def show(self, result: CollectResult, workspace: Workspace, console: Console) -> None:
        console.print(outcomes_table(result.clips, result.wanted, result.by_class))
        if any(name not in ("ok", "waiting") for name in result.by_class):
            click.echo("why clips failed: ssat collect --status lists the reasons", err=True)
        for archive in result.archives:
            click.echo(f"archive: {archive.archive}: {archive.problem}", err=True)
        for row in result.rejected_rows:
            click.echo(f"rejected: {result.source}: line {row.line}: {row.reason}", err=True)
        if (more := result.rejected - len(result.rejected_rows)) > 0:
            click.echo(f"rejected: {result.source}: {more} more rows", err=True)
        for skipped in result.skipped_files:
            click.echo(f"skipped: {skipped.folder}: {skipped.group.describe()}", err=True)
        if result.stopped:
            click.echo(result.stopped, err=True)
        elif result.clips < result.wanted:
            click.echo(f"{result.source}: {result.clips} of {result.wanted} clips; it has no more to try", err=True)

    def message(self, result: CollectResult) -> str:
        return f"{result.clips:,} clips"


def outcomes_table(clips: int, wanted: int | None, by_class: Mapping[str, int]) -> Table:
    """Return the table of clips by outcome."""
    from rich.table import Table

    meanings = {
        "ok": "collected",
        "waiting": "will be tried again by the next run",
        "GONE": "private, removed or never there",
        "GEO": "blocked in this region (--retry-dead elsewhere)",
        "AUTH": "behind an age or sign-in wall",
        "RATE": "too many requests",
        "NET": "network failed (--retry-dead)",
        "TOOL": "downloader failed; tried again with its next version",
        "MEDIA": "no usable video: empty, broken, too short, no pictures",
    }
    table = Table(title=f"clips: {clips}" + ("" if wanted is None else f" of {wanted} wanted"))
    table.add_column("outcome")
    table.add_column("clips", justify="right")
    table.add_column("meaning")
    for name, count in by_class.items():
        table.add_row(name, str(count), meanings.get(name, ""))
    return table


STAGE = Collect()
