"""The verb of a stage, made from the stage."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flows.cli.options import (
    SectionedCommand,
    association_preset_option,
    build_settings,
    common_options,
    pipeline_options,
    preset_option,
    print_json,
    settings_options,
)
from flows.stage import R, S, Stage, check_stage
from ssat.setting_marks import Positional
from ssat.settings import StageSettings
from ssat.workspace import Workspace


def stage_command(stage: Stage[Any, Any]) -> click.Command:
    """Return the command: options from the settings model, then check, earlier result or flow, tables or JSON."""
    positional = _positional(stage)

    def command(workspace: str, config: Path | None, as_json: bool, debug: bool, **options: Any) -> None:
        options[f"{stage.settings.section}_given"] |= {name: options[name] for name in positional}
        parameters: dict[str, StageSettings | None] = {}
        left_out: frozenset[str] = frozenset()
        for name, model in stage.models.items():
            if name in left_out:
                parameters[name] = None
                continue
            given = options[f"{model.section}_given"]
            for field, own in stage.filled.get(model.section, {}).items():
                given[field] = getattr(parameters["settings"], own)
            preset = stage.own_presets.get(name, options.get("preset"))
            parameters[name] = built = build_settings(model, config=config, preset=preset, given=given)
            if name == "settings":
                left_out = stage.left_out(built)
        settings = stage.bundled(parameters)
        opened = stage.open(workspace, settings)
        check_stage(stage.name, opened, settings)
        result = stage_result(stage, opened, settings, debug)
        show_result(stage, result, opened, as_json)
        if as_json:
            print_json(result)
        if stage.failure(result):
            sys.exit(1)

    decorated: Callable[..., Any]
    if stage.bundle is None:
        decorated = settings_options(
            stage.settings, skip=stage.decided.get(stage.settings.section, frozenset()) | set(positional)
        )(command)
    else:
        decorated = pipeline_options(list(stage.models.values()), skip=stage.decided)(command)
    if stage.presets == "training":
        decorated = preset_option(decorated)
    elif stage.presets == "association":
        decorated = association_preset_option("quick")(decorated)
    decorated = common_options(decorated)
    for name, metavar in positional.items():
        decorated = click.argument(name, metavar=metavar)(decorated)
    kind = click.Command if stage.bundle is None else SectionedCommand
    verb = stage.name.rpartition("_")[2]
    return click.command(verb, kind, help=inspect.getdoc(type(stage)), epilog=_epilog(stage.examples))(decorated)


def stage_result(stage: Stage[S, R], workspace: Workspace, settings: S, debug: bool) -> R:
    """Return the result of a stage that was checked: the same one done before, or that of its flow with its services.

    Args:
        debug: the services tell on the terminal what they do.
    """
    result = stage.finished(workspace, settings)
    if result is None:
        from flows.stage_flow import run_stage
        from tasks.services import services

        needs = stage.needs(settings)
        with services(workspace, ray=needs.ray, mlflow=needs.mlflow, debug=debug):
            result = run_stage(stage, workspace.address, settings)
    return result


def show_result(stage: Stage[S, R], result: R, workspace: Workspace, as_json: bool) -> None:
    """Print a stage's result for people; on standard error where JSON is what standard output is for."""
    from rich.console import Console

    stage.show(result, workspace, Console(stderr=as_json))


def _positional(stage: Stage[Any, Any]) -> dict[str, str]:
    """Return settings that the command line takes as arguments, and how its help calls them."""
    return {
        name: mark.metavar
        for name, field in stage.settings.fields().items()
        for mark in field.metadata
        if isinstance(mark, Positional)
    }


def _epilog(examples: tuple[str, ...]) -> str | None:
    if len(examples) < 2:
        return f"Example: {examples[0]}" if examples else None
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
