"""`ssat collect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.clips.settings import CollectSettings

if TYPE_CHECKING:
    from rich.table import Table

    from ssat.clips.collected import CollectResult
    from ssat.clips.run_facts import CollectStatus


@click.command(
    epilog="""\b
Examples:
  ssat collect --source kinetics-600_test.csv --clips 160
  ssat collect --source videos/ --workspace workspace
  ssat collect --source urls.txt --retry-dead
  ssat collect --status
"""
)
@common_options
@preset_option
@settings_options(CollectSettings)
@click.option(
    "--status",
    "status_only",
    is_flag=True,
    help="Collect nothing; count the clips by outcome and list why clips failed.",
)
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    status_only: bool,
    collect_given: dict[str, Any],
) -> None:
    """Download and trim clips: a Kinetics CSV, a text file with a URL a line, or a folder of videos.

    Run again, it does only what is missing; asked for more clips, it keeps the ranks that were given.
    """
    if status_only:
        status = _status(workspace)
        show_status(status, as_json)
        if as_json:
            print_json(status)
        return
    settings = build_settings(CollectSettings, config=config, preset=preset, given=collect_given)

    from ssat.workspace import Workspace
    from tasks.checks import check_collect

    opened = Workspace.open(workspace)
    check_collect(opened, settings)

    from flows.collect import collect_flow
    from tasks.services import services

    with services(opened, debug=debug):
        result = collect_flow(workspace, settings)
    show_collected(result, as_json)
    if as_json:
        print_json(result)


def _status(workspace: str) -> CollectStatus:
    from ssat.clips.run_facts import describe_status
    from ssat.errors import InputError
    from ssat.workspace import Workspace

    if not Path(workspace).expanduser().is_dir():
        raise InputError(f"workspace {workspace}: no such folder; nothing was collected there")
    return describe_status(Workspace.open(workspace))


def show_status(status: CollectStatus, as_json: bool = False) -> None:
    """The table of clips by outcome, the reasons of failures, the rate, and who is at work."""
    from rich.console import Console

    _show_outcomes(status.ranks, status.wanted, status.by_class, as_json)
    if status.reasons:
        Console(stderr=as_json).print(_reasons_table(status))
    click.echo(_pace(status), err=as_json)


def show_collected(result: CollectResult, as_json: bool = False) -> None:
    """The summary table of the collected clips, and below it what the user should know."""
    _show_outcomes(result.ranks, result.wanted, result.by_class, as_json)
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
    elif result.ranks < result.wanted:
        click.echo(f"{result.source}: {result.ranks} of {result.wanted} clips; it has no more to try", err=True)


def _show_outcomes(ranks: int, wanted: int | None, by_class: Mapping[str, int], as_json: bool) -> None:
    from rich.console import Console
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
    table = Table(title=f"clips: {ranks} ranks" + ("" if wanted is None else f" of {wanted} wanted"))
    table.add_column("outcome")
    table.add_column("clips", justify="right")
    table.add_column("meaning")
    for name, count in by_class.items():
        table.add_row(name, str(count), meanings.get(name, ""))
    Console(stderr=as_json).print(table)


def _reasons_table(status: CollectStatus) -> Table:
    """Why clips failed, most frequent first."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="reasons of clips that failed or lost pictures")
    table.add_column("outcome")
    table.add_column("clips", justify="right")
    table.add_column("reason", overflow="fold", ratio=3)
    table.add_column("such as", overflow="fold", ratio=1)
    for reason in status.reasons:
        kind = reason.outcome
        if reason.error_class not in ("", kind):
            kind += f" ({reason.error_class})"
        # Text: square brackets in messages are not markup.
        examples = ", ".join(reason.examples) + (", …" if reason.clips > len(reason.examples) else "")
        table.add_row(kind, str(reason.clips), Text(reason.message), Text(examples))
    if status.reasons_left_out:
        table.caption = f"{status.reasons_left_out} more reasons; clips/status/ in the workspace holds every attempt"
    return table


def _pace(status: CollectStatus) -> str:
    """Rate, remaining time and who is at work, in a line."""
    from datetime import timedelta

    words = [
        "no collector is at work" if status.at_work is None else f"a collector is at work (process {status.at_work})"
    ]
    if status.per_hour is not None:
        words.append(f"{status.collected_per_hour:g} clips collected an hour ({status.per_hour:g} settled)")
    if status.remaining_s:
        words.append(f"{timedelta(seconds=round(status.remaining_s))} remaining at this rate")
    return "; ".join(words)
