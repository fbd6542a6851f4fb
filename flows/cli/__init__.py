"""The `ssat` command: one verb per stage, each loaded only when it is called."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys

import click

from flows.cli.endings import reader_gone
from flows.cli.stage_command import stage_command
from flows.stage import STAGES, stage_named

# Verbs that are no stage → one line for `ssat --help`.
_OTHERS = {
    "track": "Track people in a video, an image folder or a MOTChallenge sequence.",
    "probe": "Compare embedders on footage without labels.",
    "link": "Join the tracks of a finished result across absences.",
    "evaluate": "Score result files against MOTChallenge ground truth.",
    "study": "Run the paper's experiments: extensions, clips, features, trackers, thresholds.",
    "compare": "Compare runs: settings, scores, curves, sequences.",
    "promote": "Make a training's embedder the champion if it is better.",
    "embed": "Compute features of images of people.",
    "export": "Write an embedder as safetensors or ONNX, with a model card.",
    "plan": "Estimate hours, disk, memory, cost and bottleneck for a number of clips.",
    "download": "Download a public data set for --mot: MOT15, MOT16, MOT17, MOT20.",
    "deploy": "Register the flows of prefect.yaml with the Prefect server.",
    "serve": "Run scheduled flows on this machine, without a work pool.",
    "doctor": "Check versions, services, disk, codecs and the workspace.",
    "ui": "Open the Prefect and MLflow pages on loopback.",
}

# Set before prefect, ray or mlflow is imported: each reads them at import. They disable telemetry.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def verbs() -> dict[str, str]:
    """Return every verb with one line of help: the stages, then the others; `study_clips` is a verb of `study`."""
    stages = {name: stage_named(name).summary for name in STAGES if "_" not in name}
    return stages | _OTHERS


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in verbs():
            return None
        if importlib.util.find_spec(f"flows.cli.{cmd_name}") is None:
            return stage_command(stage_named(cmd_name))
        command: click.Command = importlib.import_module(f"flows.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(verbs().items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="ssat", prog_name="ssat")
def cli() -> None:
    """Self-supervised appearance tracking: from unlabelled clips to an embedder to tracks.

    Begin with `ssat demo`; `ssat VERB --help` shows an example of each verb.
    """


def prepare_environment() -> None:
    """Make Prefect, Ray and MLflow quiet, without telemetry or a proxy for loopback; before any of them is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if any(name.lower().endswith("_proxy") for name in os.environ):
        from tasks.addresses import exempt_loopback

        exempt_loopback()


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 a defect of ssat, 2 something the user can put right, 130 interrupted."""
    debug = "--debug" in sys.argv[1:] or os.environ.get("SSAT_DEBUG") == "1"
    prepare_environment()
    # By default SIGTERM ends Python at once; with this handler the embedded servers are stopped first.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))
    code = run(sys.argv[1:], debug=debug)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = reader_gone()
    sys.exit(code)


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run the command line `arguments` and return its exit code; prints what went wrong on standard error."""
    from flows.cli.extras import lacks_pipeline

    verb = next((word for word in arguments if not word.startswith("-")), "")
    if not {"-h", "--help"} & set(arguments) and (lacking := lacks_pipeline(verb)):
        click.echo(f"ssat: error: {verb}: {lacking}", err=True)
        return 2
    try:
        # Without standalone mode click returns the code of --help and raises everything else to here.
        result = cli.main(arguments, prog_name="ssat", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("ssat: interrupted; start the same command again to go on from here", err=True)
        return 130
    except BrokenPipeError:
        return reader_gone()
    except Exception as error:  # noqa: BLE001 - the last line of defence: one message instead of a traceback
        return _explain(error, debug, arguments)
    finally:
        # A stage that ended early leaves its progress bar and a hidden cursor.
        if progress := sys.modules.get("tasks.progress"):
            progress.close_progress()


def _explain(error: Exception, debug: bool, arguments: list[str]) -> int:
    from flows.cli.extras import missing_extra
    from flows.cli.messages import with_options
    from tasks.failures import unwrap

    cause = unwrap(error)
    if debug:
        import traceback

        traceback.print_exception(error)
    if cause is not None:
        click.echo(f"ssat: error: {with_options(str(cause))}", err=True)
        return 2
    lacking = missing_extra(error)
    if lacking is not None:
        verb = next((word for word in arguments if not word.startswith("-")), "")
        click.echo(f"ssat: error: {verb}: {lacking}", err=True)
        return 2
    summary = " ".join(f"{type(error).__name__}: {error}".split())
    if len(summary) > 300:
        summary = f"{summary[:300]} …"
    hint = "" if debug else "; add --debug to see where"
    click.echo(f"ssat: defect: {summary}{hint}. Please report it with that output", err=True)
    return 1
