"""Command-line options derived from a stage's settings model, and the options that every verb has."""

from __future__ import annotations

import functools
import json
import re
import sys
import types
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.cli.endings import reader_gone
from flows.stage import STAGES, stage_named
from ssat.errors import InputError
from ssat.json_values import json_values
from ssat.settings import StageSettings, former_names, line_of, read_config
from tasks.progress import progress_as_json

Settings = TypeVar("Settings", bound=StageSettings)

# Further sections of the configuration file; those of the stages have the name of their stage.
_OTHER_SECTIONS = frozenset(
    [
        "track",
        "probe",
        "link",
        "plan",
    ]
)


def config_sections() -> set[str]:
    """Return the sections that a configuration file may have."""
    return {*(stage_named(name).settings.section for name in STAGES), *_OTHER_SECTIONS}


def _choose_progress(context: click.Context, parameter: click.Parameter, as_json: bool) -> bool:
    progress_as_json(as_json and not sys.stderr.isatty())
    context.call_on_close(lambda: progress_as_json(False))
    return as_json


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--workspace, --config, --json and --debug."""
    for option in (
        click.option("--debug", is_flag=True, help="Show a traceback and the servers' own logs when something fails."),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            callback=_choose_progress,
            help="Print the result as one JSON object on the last line; progress is lines of JSON on standard error.",
        ),
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
        help="paper: the paper's exact settings; quick: for a few cores: small network and images, and a box term that "
        "gates, for features that learned little.",
    )(function)


def association_preset_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--preset, for the verbs that only track."""
    return click.option(
        "--preset",
        type=click.Choice(["paper", "quick", "strong"]),
        default=default,
        show_default=True,
        help="paper: the paper's exact association; quick: with a box term that gates; strong, beyond the paper: with "
        "motion, calibration and more, for the best tracks.",
    )


def settings_options(
    model: type[StageSettings], *, skip: frozenset[str] = frozenset(), prefixed: frozenset[str] = frozenset()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an option per field of `model` and passes the set ones as `<section>_given`.

    Fields of nested models become `--outer-inner`, those named in `prefixed` `--<section>-field`. Options that were
    not given are absent from the mapping, so that presets and the configuration file keep their say.
    """
    fields = list(_flat_fields(model, skip))
    former = [(old,) for old, name in former_names(model).items() if name not in skip]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            given: dict[str, Any] = {}
            for path in [*(path for path, _ in fields), *former]:
                value = kwargs.pop(_parameter_name(model, path))
                if value is None or value == ():
                    continue
                target = given
                for part in path[:-1]:
                    target = target.setdefault(part, {})
                target[path[-1]] = _flattened(value) if isinstance(value, tuple) else value
            return function(*args, **{f"{model.section}_given": given}, **kwargs)

        for path, field in reversed(fields):
            prefix = (model.section,) if path[0] in prefixed else ()
            for old, name in former_names(model).items():
                if (name,) == path:
                    # Kept for one release: scripts that use the former name keep working.
                    wrapper = _option(model, (old,), (*prefix, old), field, hidden=True)(wrapper)
            wrapper = _option(model, path, (*prefix, *path), field)(wrapper)
        return wrapper

    return decorate


def pipeline_options(
    models: Sequence[type[StageSettings]],
    *,
    shared: frozenset[str] = frozenset({"seed"}),
    skip: Mapping[str, frozenset[str]] = types.MappingProxyType({}),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the options of several stages on one command, each stage's given ones as `<section>_given`.

    A field name that several stages use becomes `--<section>-field` for each, for it means something else in each;
    but those in `shared` mean the same everywhere: one option sets them in every stage that has them. `skip` names the
    fields by section that the command sets itself.
    """
    skipped = {model.section: skip.get(model.section, frozenset()) for model in models}
    counts = Counter(name for model in models for name in model.fields() if name not in skipped[model.section])
    clashing = frozenset(name for name, count in counts.items() if count > 1)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for name in shared & clashing:
                value = kwargs.pop(f"shared_{name}")
                for model in models:
                    if value is not None and name in model.fields():
                        kwargs[f"{model.section}_given"][name] = value
            return function(*args, **kwargs)

        for model in reversed(models):
            unseen = (shared & clashing) | skipped[model.section]
            options = settings_options(model, skip=unseen, prefixed=clashing - shared)
            wrapper = options(wrapper)  # type: ignore[assignment]
        for name in sorted(shared & clashing):
            owners = [model for model in models if name in model.fields()]
            scalar = _scalar_type(owners[0].fields()[name].annotation)
            sections = ", ".join(model.section for model in owners)
            help_text = f"The {name.replace('_', ' ')} of {sections}"
            flag = f"--{name.replace('_', '-')}"
            wrapper = click.option(flag, f"shared_{name}", type=scalar, default=None, help=help_text)(wrapper)
        return wrapper

    return decorate


def build_settings(
    model: type[Settings], *, config: Path | None, preset: str | None, given: Mapping[str, Any]
) -> Settings:
    """Preset, then the configuration file's section, then what the command line gave.

    Raises:
        InputError: names the file and line where the value stands in the file, or the setting where it was an option.
    """
    section = read_config(config, config_sections()).get(model.section, {}) if config else {}
    try:
        return model.build(preset, section, given)
    except InputError as error:
        if config is not None and (place := _place_in_file(model, config, preset, section)):
            raise InputError(f"{place}: {error}") from error
        raise


def _place_in_file(
    model: type[StageSettings], config: Path, preset: str | None, section: Mapping[str, Any]
) -> str | None:
    """`file` or `file:line` where the file alone is already wrong, else None."""
    try:
        model.build(preset, section)
    except InputError as error:
        name = re.match(rf"setting {model.section}\.(\w+)", str(error))
        line = line_of(config, model.section, name[1]) if name else None
        return f"{config}:{line}" if line else str(config)
    return None


def _parameter_name(model: type[StageSettings], path: tuple[str, ...]) -> str:
    return "_".join((model.section, "", *path))


def _flat_fields(model: type[BaseModel], skip: frozenset[str]) -> typing.Iterator[tuple[tuple[str, ...], FieldInfo]]:
    fields = model.fields() if issubclass(model, StageSettings) else model.model_fields
    for name, field in fields.items():
        if name in skip:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            for path, inner in _flat_fields(field.annotation, frozenset()):
                yield (name, *path), inner
        else:
            yield (name,), field


def _option(
    model: type[StageSettings],
    path: tuple[str, ...],
    flag_path: tuple[str, ...],
    field: FieldInfo,
    *,
    hidden: bool = False,
) -> Callable[..., Any]:
    flag = "--" + "-".join(flag_path).replace("_", "-")
    help_text = (field.description or "").rstrip(".") + _shown_default(model, path, field)
    annotation = _without_none(field.annotation)
    name = _parameter_name(model, path)
    if annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=help_text)
    if typing.get_origin(annotation) is typing.Literal:
        choices = [str(choice) for choice in typing.get_args(annotation)]
        return click.option(flag, name, type=click.Choice(choices), default=None, help=help_text)
    if typing.get_origin(annotation) in (list, tuple):
        elements = typing.get_args(annotation)
        element = _scalar_type(elements[0])
        if typing.get_origin(annotation) is tuple and Ellipsis not in elements:
            return click.option(flag, name, type=element, nargs=len(elements), default=None, help=help_text)
        several = " (may be repeated)"
        if element in (int, float):
            element, several = NumberList(element), ", separated by commas"
        return click.option(flag, name, type=element, multiple=True, help=help_text + several)
    return click.option(flag, name, type=_scalar_type(annotation), default=None, help=help_text, hidden=hidden)


class NumberList(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """Numbers separated by commas, as a tuple."""

    def __init__(self, element: type) -> None:
        self._element = element
        self.name = "integers" if element is int else "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        try:
            return tuple(self._element(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expected {self.name} separated by commas", param, ctx)


def _flattened(values: tuple[Any, ...]) -> list[Any]:
    return [part for value in values for part in (value if isinstance(value, tuple) else (value,))]


def _shown_default(model: type[StageSettings], path: tuple[str, ...], field: FieldInfo) -> str:
    """` [default: …]`, and per preset where that says otherwise: the verbs use a preset by default."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    shown = [] if default in (None, (), []) else [f"default: {_as_text(default)}"]
    for preset, values in model.presets.items():
        value: Any = values
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != default:
            shown.append(f"{preset}: {_as_text(value)}")
    return f" [{'; '.join(shown)}]" if shown else ""


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        remaining = [part for part in typing.get_args(annotation) if part is not type(None)]
        return remaining[0]
    return annotation


def _scalar_type(annotation: Any) -> Any:
    return {int: int, float: float}.get(_without_none(annotation), str)


def print_json(result: object) -> None:
    """Print the result, a dataclass or a dictionary, as the last line of standard output, by `json_values`."""
    click.echo(json.dumps(json_values(result), allow_nan=False, default=str))


def print_line(value: object) -> None:
    """Print one of many lines of JSON, by `json_values`; a reader who has gone ends the command quietly."""
    try:
        click.echo(json.dumps(json_values(value)))
    except BrokenPipeError as error:
        # click would end it with code 1, which means a defect. The files are written up to this line.
        raise SystemExit(reader_gone()) from error


class SectionedCommand(click.Command):
    """A command whose help lists the options of each stage under the stage's name."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                section, separator, _ = (parameter.name or "").partition("__")
                sections.setdefault(f"Options of {section}" if separator else "Options", []).append(record)
        for title in sorted(sections, key=lambda title: title != "Options"):
            with formatter.section(title):
                formatter.write_dl(sections[title])
