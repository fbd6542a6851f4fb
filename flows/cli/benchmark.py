"""`ssat benchmark`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from flows.cli.options import (
    association_preset_option,
    build_settings,
    common_options,
    print_json,
    print_line,
    settings_options,
)
from flows.cli.stage_command import show_result, stage_result
from flows.stage import check_stage, stage_named
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings


@click.command(
    epilog="Example: ssat benchmark --mot MOT17/train --sequences MOT17-09-FRCNN --split val-half "
    "--detections public --protocol motchallenge"
)
@common_options
@click.option("--download", is_flag=True, help="Fetch MOT17 (5.5 GB) from motchallenge.net into --mot first.")
@click.option("--download-url", help="Address of a mirror of the zip.  [default: the publisher's]")
@click.option("--download-sha256", help="What the zip must have; by default it is recorded.")
@click.option(
    "--explain",
    metavar="SEQUENCE:ID",
    help="Explain why this identity of a sequence started and ended: NAME.explain-ID.txt and a picture.",
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

    stage = stage_named("benchmark")
    opened = stage.open(workspace, settings)
    asked = None
    if explain is not None:
        from tasks.explain import Asked, check_explain

        asked = Asked.parse(explain)
        check_explain(settings, asked)
    check_stage("benchmark", opened, settings)
    result = stage_result(stage, opened, settings, debug)
    show_result(stage, result, opened, as_json or live)
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
