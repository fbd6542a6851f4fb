"""`ssat collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.clips.settings import CollectSettings


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
        result = _status(workspace)
        show_collected(result, as_json)
        if as_json:
            print_json(result)
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


def _status(workspace: str) -> dict[str, Any]:
    from ssat.clips.run_facts import describe_status
    from ssat.errors import InputError
    from ssat.workspace import Workspace

    if not Path(workspace).expanduser().is_dir():
        raise InputError(f"workspace {workspace}: no such folder; nothing was collected there")
    return describe_status(Workspace.open(workspace))


def show_collected(result: dict[str, Any], as_json: bool = False) -> None:
    """The summary table of the collected clips, and below it what the user should know."""
    from rich.console import Console
    from rich.table import Table

    from ssat.clips.folders import Skipped

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
    wanted = f" of {result['wanted']} wanted" if result.get("wanted") is not None else ""
    table = Table(title=f"clips: {result['ranks']} ranks{wanted}")
    table.add_column("outcome")
    table.add_column("clips", justify="right")
    table.add_column("meaning")
    for name, count in result["by_class"].items():
        table.add_row(name, str(count), meanings.get(name, ""))
    Console(stderr=as_json).print(table)
    if result.get("reasons"):
        Console(stderr=as_json).print(_reasons_table(result))
    if "at_work" in result:
        click.echo(_pace(result), err=as_json)
    elif any(name not in ("ok", "waiting") for name in result["by_class"]):
        click.echo("why clips failed: ssat collect --status lists the reasons", err=True)
    source = result.get("source", "")
    for row in result.get("archives", []):
        click.echo(f"archive: {row['archive']}: {row['problem']}", err=True)
    for row in result.get("rejected_rows", []):
        click.echo(f"rejected: {source}: line {row['line']}: {row['reason']}", err=True)
    if (more := result.get("rejected", 0) - len(result.get("rejected_rows", []))) > 0:
        click.echo(f"rejected: {source}: {more} more rows", err=True)
    for group in result.get("skipped_files", []):
        skipped = Skipped(group["reason"], group["remedy"], group["files"], tuple(group["examples"]))
        click.echo(f"skipped: {group['folder']}: {skipped.describe()}", err=True)
    if result.get("stopped"):
        click.echo(result["stopped"], err=True)
    elif "at_work" not in result and "wanted" in result and result["ranks"] < result["wanted"]:
        click.echo(f"{source}: {result['ranks']} of {result['wanted']} clips; it has no more to try", err=True)


def _reasons_table(status: dict[str, Any]) -> Any:
    """Why clips failed, most frequent first."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="reasons of clips that failed or lost pictures")
    table.add_column("outcome")
    table.add_column("clips", justify="right")
    table.add_column("reason", overflow="fold", ratio=3)
    table.add_column("such as", overflow="fold", ratio=1)
    for reason in status["reasons"]:
        kind = reason["outcome"]
        if reason["error_class"] not in ("", kind):
            kind += f" ({reason['error_class']})"
        # Text: square brackets in messages are not markup.
        examples = ", ".join(reason["examples"]) + (", …" if reason["clips"] > len(reason["examples"]) else "")
        table.add_row(kind, str(reason["clips"]), Text(reason["message"]), Text(examples))
    if status["reasons_left_out"]:
        table.caption = f"{status['reasons_left_out']} more reasons; clips/status/ in the workspace holds every attempt"
    return table


def _pace(status: dict[str, Any]) -> str:
    """Rate, remaining time and who is at work, in a line."""
    from datetime import timedelta

    words = [
        "no collector is at work"
        if status["at_work"] is None
        else f"a collector is at work (process {status['at_work']})"
    ]
    if status["per_hour"] is not None:
        words.append(f"{status['collected_per_hour']:g} clips collected an hour ({status['per_hour']:g} settled)")
    if status["remaining_s"]:
        words.append(f"{timedelta(seconds=round(status['remaining_s']))} remaining at this rate")
    return "; ".join(words)
