"""Command-line options derived from a stage's settings model, and the options that every verb has."""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ssat.settings import StageSettings, read_config

Settings = TypeVar("Settings", bound=StageSettings)

CONFIG_SECTIONS = {"collect", "decode", "train", "benchmark", "track"}


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--workspace, --config, --json and --debug."""
    for option in (
        click.option("--debug", is_flag=True, help="Show a traceback and the servers' own logs when something fails."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on the last line."),
        click.option("--config", type=click.Path(path_type=Path), help="TOML file with one section per stage."),
        click.option(
            "--workspace",
            default="workspace",
            show_default=True,
            envvar="SSAT_WORKSPACE",
            help="Folder that holds everything of this experiment.",
        ),
    ):
        function = option(function)
    return function


def preset_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--preset, for the verbs whose settings have presets."""
    return click.option(
        "--preset",
        type=click.Choice(["paper", "quick"]),
        default="quick",
        show_default=True,
        help="paper: the method to the letter; quick: small network and images, for a few cores.",
    )(function)


def settings_options(
    model: type[StageSettings], *, skip: frozenset[str] = frozenset()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds an option per field of `model` and passes those that were given as `<section>_given`.

    Fields of nested models become `--outer-inner`. Options that were not given are absent from the mapping, so that
    presets and the configuration file keep their say.
    """
    fields = list(_flat_fields(model, skip))

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            given: dict[str, Any] = {}
            for path, _ in fields:
                value = kwargs.pop(_parameter_name(model, path))
                if value is None or value == ():
                    continue
                target = given
                for part in path[:-1]:
                    target = target.setdefault(part, {})
                target[path[-1]] = list(value) if isinstance(value, tuple) else value
            return function(*args, **{f"{model.section}_given": given}, **kwargs)

        for path, field in reversed(fields):
            wrapper = _option(model, path, field)(wrapper)  # type: ignore[assignment]
        return wrapper

    return decorate


def build_settings(
    model: type[Settings], *, config: Path | None, preset: str | None, given: Mapping[str, Any]
) -> Settings:
    """Preset, then the configuration file's section, then what the command line gave."""
    section = read_config(config, CONFIG_SECTIONS).get(model.section, {}) if config else {}
    return model.build(preset, section, given)


def _parameter_name(model: type[StageSettings], path: tuple[str, ...]) -> str:
    return "_".join((model.section, "", *path))


def _flat_fields(model: type[BaseModel], skip: frozenset[str]) -> typing.Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for path, inner in _flat_fields(field.annotation, frozenset()):
                yield (name, *path), inner
        else:
            yield (name,), field


def _option(model: type[StageSettings], path: tuple[str, ...], field: FieldInfo) -> Callable[..., Any]:
    flag = "--" + "-".join(path).replace("_", "-")
    help_text = (field.description or "").rstrip(".")
    default = field.get_default(call_default_factory=True)
    if default not in (None, (), []) and not field.is_required():
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        help_text += f" [default: {shown}]"
    annotation = _without_none(field.annotation)
    name = _parameter_name(model, path)
    if annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=help_text)
    if typing.get_origin(annotation) is typing.Literal:
        choices = [str(choice) for choice in typing.get_args(annotation)]
        return click.option(flag, name, type=click.Choice(choices), default=None, help=help_text)
    if typing.get_origin(annotation) in (list, tuple):
        element = _scalar_type(typing.get_args(annotation)[0])
        return click.option(flag, name, type=element, multiple=True, help=help_text + " (may be repeated)")
    return click.option(flag, name, type=_scalar_type(annotation), default=None, help=help_text)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        remaining = [part for part in typing.get_args(annotation) if part is not type(None)]
        return remaining[0]
    return annotation


def _scalar_type(annotation: Any) -> Any:
    return {int: int, float: float}.get(_without_none(annotation), str)


def print_json(result: Mapping[str, Any]) -> None:
    """The result as the last line of standard output."""
    click.echo(json.dumps(result, allow_nan=False, default=str))
