"""docs/settings.md, written from the settings models: `python -m flows.settings_page > docs/settings.md`."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.stage import STAGES, stage_named
from ssat.pipeline.settings import LinkSettings, ProbeSettings, TrackSettings
from ssat.plan.settings import PlanSettings
from ssat.settings import StageSettings

_OTHERS: tuple[type[StageSettings], ...] = (
    TrackSettings,
    ProbeSettings,
    LinkSettings,
    PlanSettings,
)
_PRESETS = ("paper", "quick", "strong")
_HEAD = """# Settings

Written by `make docs` from the settings models; a test compares this page with them.

Every stage has one model. It is the flow's parameter, the section of the configuration file (`--config FILE.toml`),
the options of the verb (`batch_size` is `--batch-size`) and what MLflow records. A value is taken from the
command line, else from the file, else from the preset (`--preset`, by default `quick`, for `ssat track` `strong`),
else from the default below.
`ssat run` has the options of four stages: a name that several of them use gets the stage in front
(`--train-clips`), but for `--seed`, which is one for all.

```toml
[collect]
clips = 800

[train]
epochs = 8
```
"""


def models() -> tuple[type[StageSettings], ...]:
    """Return the settings of the stages, then the others; each once."""
    return tuple(dict.fromkeys([*(stage_named(name).settings for name in STAGES), *_OTHERS]))


def settings_page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *(_stage(model) for model in models())])


def _stage(model: type[StageSettings]) -> str:
    summary = (model.__doc__ or "").strip().splitlines()[0]
    presets = [name for name in _PRESETS if model.presets.get(name)]
    columns = ["setting", "values", "default", *presets, "meaning"]
    lines = [f"## [{model.section}]", "", summary, "", _row(columns), _row(["---"] * len(columns))]
    lines += [_row(row) for row in _rows(model, "", dict(model.presets), presets)]
    return "\n".join(lines) + "\n"


def _rows(
    model: type[BaseModel], prefix: str, values: dict[str, typing.Mapping[str, Any]], presets: list[str]
) -> typing.Iterator[list[str]]:
    fields = model.fields() if issubclass(model, StageSettings) else model.model_fields
    for name, field in fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = {preset: preset_values.get(name, {}) for preset, preset_values in values.items()}
            yield from _rows(field.annotation, f"{prefix}{name}.", inner, presets)
            continue
        default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        special = [_shown(values[preset][name]) if name in values.get(preset, {}) else "" for preset in presets]
        yield [f"`{prefix}{name}`", _values(field), default, *special, field.description or ""]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(map(_shown, value)) or "–"
    return str(value)


def _values(field: FieldInfo) -> str:
    kinds = _kinds(field.annotation)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    return " ".join([kinds, *bounds])


def _kinds(annotation: Any) -> str:
    names = {int: "integer", float: "number", str: "text", bool: "true, false", type(None): "", Ellipsis: ""}
    if annotation in names:
        return names[annotation]
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    parts = [text for part in typing.get_args(annotation) if (text := _kinds(part))]
    if typing.get_origin(annotation) in (list, tuple):
        return f"list of {parts[0]}" if Ellipsis in typing.get_args(annotation) else f"list: {', '.join(parts)}"
    return ", ".join(parts) or "text"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(settings_page(), end="")
