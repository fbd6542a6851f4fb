"""The `ssat` command: one verb per stage, each loaded only when it is called."""

from __future__ import annotations

import importlib
import os
import sys

import click

# Verb → one line for `ssat --help`. Kept here so that asking for help imports no verb.
VERBS = {
    "collect": "Download and trim clips from a list, a folder or URLs.",
    "decode": "Decode collected clips into the Parquet frame store.",
    "train": "Train the embedder on the frame store (CosFace over clips).",
    "benchmark": "Track MOTChallenge sequences and score the result.",
    "run": "Collect, decode, train and benchmark, in that order.",
    "track": "Track people in a video, an image folder or a MOTChallenge sequence.",
    "evaluate": "Score result files against MOTChallenge ground truth.",
    "verify": "Check the frame store and repair broken shards.",
    "export": "Write a trained embedder as safetensors with its model card.",
    "doctor": "Check versions, services, disk, codecs and the workspace.",
    "ui": "Open the Prefect and MLflow pages on loopback.",
    "demo": "Render a small world and run the whole pipeline on it.",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"flows.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ssat", prog_name="ssat")
def cli() -> None:
    """Self-supervised appearance tracking: from unlabelled clips to an embedder to tracks.

    Begin with `ssat demo`; `ssat VERB --help` shows an example of each verb.
    """


def main() -> None:
    """Entry point: errors a user can act on end with a message and exit code 2, never with a traceback."""
    debug = "--debug" in sys.argv[1:] or os.environ.get("SSAT_DEBUG") == "1"
    from ssat.errors import SsatError

    try:
        cli(standalone_mode=True)
    except SsatError as error:
        if debug:
            raise
        click.echo(f"ssat: error: {error}", err=True)
        sys.exit(2)
