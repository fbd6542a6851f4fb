"""`ssat benchmark`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import (
    association_preset_option,
    build_settings,
    common_options,
    print_json,
    print_line,
    settings_options,
)
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings

if TYPE_CHECKING:
    from ssat.pipeline.benchmark_result import BenchmarkResult


@click.command(
    epilog="Example: ssat benchmark --mot MOT17/train --sequences MOT17-09-FRCNN --split val-half "
    "--detections public --protocol motchallenge"
)
@common_options
@click.option("--download", is_flag=True, help="Fetch MOT17 (5.5 GB) from motchallenge.net into --mot first.")
@click.option("--download-url", help="Another address of such a zip, a mirror's say.  [default: the publisher's]")
@click.option("--download-sha256", help="What the zip must have; by default it is recorded.")
@click.option(
    "--explain",
    metavar="SEQUENCE:ID",
    help="Tell why this identity of a sequence began and ended; NAME.explain-ID.txt beside the results, and a picture.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Track again online, and print each frame's tracks as a line of JSON as soon as they are known.",
)
@association_preset_option("quick")
@settings_options(BenchmarkSettings)
def command(
    workspace: str,
    config: Path | None,
    as_json: bool,
    debug: bool,
    preset: str,
    download: bool,
    download_url: str | None,
    download_sha256: str | None,
    explain: str | None,
    live: bool,
    benchmark_given: dict[str, Any],
) -> None:
    """Track MOTChallenge sequences and score the result."""
    if download:
        benchmark_given = {"mot": str(Path(workspace) / "mot"), **benchmark_given}
    elif download_url or download_sha256:
        raise InputError("--download-url and --download-sha256 belong to --download")
    settings = build_settings(BenchmarkSettings, config=config, preset=preset, given=benchmark_given)
    if download:
        settings = settings.model_copy(update={"mot": _download(Path(settings.mot), download_url, download_sha256)})

    from ssat.workspace import Workspace
    from tasks.checks import check_benchmark

    opened = Workspace.open(workspace)
    check_benchmark(opened, settings)
    asked = None
    if explain is not None:
        from tasks.explain import Asked, check_explain

        asked = Asked.parse(explain)
        check_explain(settings, asked)

    from tasks.finished import finished_benchmark

    result = finished_benchmark(opened, settings)
    if result is None:
        from flows.benchmark import benchmark_flow
        from tasks.fan_out import ray_is_named
        from tasks.services import services

        ray = ray_is_named() and settings.side_by_side != "never"
        with services(opened, mlflow=True, ray=ray, debug=debug):
            result = benchmark_flow(workspace, settings)
    show_benchmark(workspace, result, as_json or live)
    if live:
        from tasks.replay import show_live

        show_live(opened, settings, print_line)
    answer: Mapping[str, object] = vars(result)
    if asked is not None:
        from tasks.explain import explain_in_benchmark

        explanation = explain_in_benchmark(opened, settings, asked)
        click.echo(explanation.explanation, err=as_json or live)
        for path in explanation.explained:
            click.echo(f"explained: {path}", err=as_json or live)
        answer = {**answer, "explanation": explanation.explanation, "explained": explanation.explained}
    if as_json:
        print_json(answer)


def _download(folder: Path, url: str | None, sha256: str | None) -> str:
    from flows.cli.download import fetch_data_set
    from ssat.mot.data_sets import data_set_named

    data_set = data_set_named("MOT17")
    return fetch_data_set(data_set, folder, url or data_set.archive, sha256).folder


def show_benchmark(workspace: str, result: BenchmarkResult, as_json: bool = False) -> None:
    """The summary table of a benchmark, and where its files lie."""
    from rich.console import Console

    from ssat.report.tables import score_table

    console = Console(stderr=as_json)
    title = result.headline + (" (done before)" if result.reused else "")
    rows = result.rows() | {f"all {name}": scored.as_json() for name, scored in result.detectors.items()}
    console.print(score_table(rows, result.overall.as_json(), title))
    for name, reason in result.skipped.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    for name, tracked in result.files.items():
        for note in tracked.notes:
            console.print(f"note: {name}: {note}", markup=False, soft_wrap=True)
    if submission := result.submission:
        zip_file = Path(workspace) / result.folder / submission.file
        console.print(f"for the server: {zip_file}", markup=False, soft_wrap=True)
        for kind, texts in (("fault", submission.faults), ("warning", submission.warnings)):
            for text in texts:
                console.print(f"{kind}: {text}", markup=False, soft_wrap=True)
    if result.report:
        console.print(f"report: {Path(workspace) / result.report}", markup=False, soft_wrap=True)
