"""`ssat promote`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flows.cli.options import build_settings, common_options, config_sections, print_json, settings_options
from ssat.pipeline.settings import BenchmarkSettings
from ssat.settings import read_config


@click.command(
    epilog="""\b
Examples:
  ssat promote 3f9a1c0d --mot MOT17/train --split val-half --protocol motchallenge
  ssat promote 3f9a1c0d --dry-run
  ssat promote --undo
  ssat promote champion --to http://mlflow.example:5000
"""
)
@click.argument("run", required=False)
@common_options
@click.option(
    "--metric",
    type=click.Choice(["idf1", "mota", "hota", "assa"]),
    default="idf1",
    show_default=True,
    help="What must be better.",
)
@click.option(
    "--spread",
    type=click.FloatRange(min=0, max=100),
    help="The seeds' spread in points, stated; by default that of recorded trainings that differ in their seed alone.",
)
@click.option(
    "--probe",
    metavar="FOLDER",
    help="Unlabelled footage with detections: the candidate's probe AUC must be higher there as well, beyond its "
    "interval; by default the footage of its training's --probe, if any; none: without.",
)
@click.option("--undo", is_flag=True, help="Make the version champion again that the present champion replaced.")
@click.option(
    "--to",
    metavar="REGISTRY_URI",
    help="Copy the version of RUN to this MLflow registry instead, with files, settings, metrics and parent run.",
)
@click.option("--dry-run", is_flag=True, help="Print the decision; change nothing.")
@settings_options(BenchmarkSettings, skip=frozenset({"embedder"}))
def command(
    run: str | None,
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    metric: Any,
    spread: float | None,
    probe: str | None,
    undo: bool,
    to: str | None,
    dry_run: bool,
    benchmark_given: dict[str, Any],
) -> None:
    """Make the embedder of training RUN the champion if its gain exceeds the seeds' spread.

    RUN is the MLflow run of a training, or six or more of its first characters. With --mot both are benchmarked as far
    as that was not done; without it, recorded benchmarks of the split are compared. A candidate that is not promoted
    gets the alias challenger.
    """
    if undo == (run is not None):
        raise click.UsageError("give the RUN of a training, or --undo without one")
    if undo and to:
        raise click.UsageError("--undo and --to exclude each other")
    if undo:
        _undo(workspace, as_json, debug, dry_run)
        return
    assert run is not None  # noqa: S101 - for the type checker
    if to is not None:
        if benchmark_given:
            raise click.UsageError("--to copies a version as it is: settings of a benchmark do not go with it")
        _copy(workspace, run, to, as_json, debug, dry_run)
        return
    benchmark = None
    configured = read_config(config, config_sections()).get("benchmark", {}) if config is not None else {}
    if "mot" in configured or "mot" in benchmark_given:
        benchmark = build_settings(BenchmarkSettings, config=config, preset=None, given=benchmark_given)
    elif unused := sorted(set(benchmark_given) - {"split", "protocol"}):
        raise click.UsageError(f"--{unused[0].replace('_', '-')} is for a benchmark: give --mot as well")

    from ssat.pipeline.benchmark_inputs import check_sequences
    from ssat.workspace import Workspace
    from tasks.checks import check_runs

    opened = Workspace.open(workspace)
    if benchmark is not None:
        check_sequences(benchmark)
    check_runs(opened, [run])

    from flows.promote import promote_flow
    from tasks.services import services

    with services(opened, ray=benchmark is not None, mlflow=True, debug=debug):
        result = promote_flow(
            workspace,
            run,
            benchmark,
            split={**configured, **benchmark_given}.get("split", "val-half"),
            protocol={**configured, **benchmark_given}.get("protocol"),
            metric=metric,
            spread=None if spread is None else spread / 100,
            probe=probe,
            dry_run=dry_run,
        )
    verdict = "promoted" if result.promoted else "not promoted"
    would = " (dry run: nothing was changed)" if dry_run else ""
    where = f"split {result.split}, protocol {result.protocol}"
    click.echo(f"version {result.candidate.version} {verdict}{would}: {result.reason}; {where}", err=as_json)
    if as_json:
        print_json(result)


def _copy(workspace: str, run: str, to: str, as_json: bool, debug: bool, dry_run: bool) -> None:
    from ssat.workspace import Workspace
    from tasks.checks import check_registry, check_runs
    from tasks.services import mlflow_tracking_uri, services

    opened = Workspace.open(workspace)
    check_registry(to, mlflow_tracking_uri(opened))
    check_runs(opened, [run])

    from flows.promote import copy_flow

    with services(opened, ray=False, mlflow=True, debug=debug):
        copied = copy_flow(workspace, run, to, dry_run)
    if copied.dry_run:
        outcome = f"would be copied to {copied.registry} (dry run: nothing was changed)"
    else:
        already = " already" if copied.existed else ""
        outcome = f"is{already} version {copied.version} of {copied.registry}; run {copied.run}"
    click.echo(f"version {copied.source_version} {outcome}; digest {copied.embedder_digest}", err=as_json)
    if as_json:
        print_json(copied)


def _undo(workspace: str, as_json: bool, debug: bool, dry_run: bool) -> None:
    from flows.promote import undo_flow
    from ssat.workspace import Workspace
    from tasks.services import services

    with services(Workspace.open(workspace), ray=False, mlflow=True, debug=debug):
        undone = undo_flow(workspace, dry_run)
    would = " (dry run: nothing was changed)" if dry_run else ""
    click.echo(
        f"version {undone.champion} is champion again{would}, version {undone.challenger} challenger", err=as_json
    )
    if as_json:
        print_json(undone)
