"""`ssat collect`: the stage's verb, and `--status`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import print_json
from flows.cli.stage_command import stage_command
from flows.stage import stage_named
from flows.stages.collect import outcomes_table

if TYPE_CHECKING:
    from rich.table import Table

    from ssat.clips.run_facts import CollectStatus


def _with_status(command: click.Command) -> click.Command:
    """Add the option `--status`, which collects nothing."""
    collect = command.callback
    assert collect is not None  # noqa: S101 - every command has one

    @functools.wraps(collect)
    def with_status(*, status_only: bool, **given: Any) -> None:
        if not status_only:
            collect(**given)
            return
        status = _status(given["workspace"])
        show_status(status, given["as_json"])
        if given["as_json"]:
            print_json(status)

    command.callback = with_status
    described = "Collect nothing; count the clips by outcome and list why clips failed."
    command.params.append(click.Option(["--status", "status_only"], is_flag=True, help=described))
    return command


command = _with_status(stage_command(stage_named("collect")))


def _status(workspace: str) -> CollectStatus:
    from ssat.clips.run_facts import describe_status
    from ssat.errors import InputError
    from ssat.workspace import Workspace

    if not Path(workspace).expanduser().is_dir():
        raise InputError(f"workspace {workspace}: no such folder; nothing was collected there")
    return describe_status(Workspace.open(workspace))


def show_status(status: CollectStatus, as_json: bool = False) -> None:
    """Print the clips by outcome, the reasons of failures, the rate, and who is at work."""
    from rich.console import Console

    console = Console(stderr=as_json)
    console.print(outcomes_table(status.clips, status.wanted, status.by_class))
    if status.reasons:
        console.print(_reasons_table(status))
    click.echo(_pace(status), err=as_json)


def _reasons_table(status: CollectStatus) -> Table:
    """Return why clips failed, most frequent first."""
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
