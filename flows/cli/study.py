"""`ssat study`: the paper's tables as one command each."""

from __future__ import annotations

import click

from flows.cli.stage_command import stage_command
from flows.stage import STAGES, stage_named


@click.group()
def command() -> None:
    """The paper's experiments: a table, a figure and a report each, recorded as one MLflow run with child runs.

    A study that is started again does only what is missing.
    """


for _name in STAGES:
    if _name.startswith("study_"):
        command.add_command(stage_command(stage_named(_name)))
