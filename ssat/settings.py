"""Settings of a stage: one frozen model per stage, built from a preset, a TOML section and explicit values."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from ssat.errors import InputError


class StageSettings(BaseModel):
    """Base of every stage's settings.

    A subclass names its TOML section in `section` and may give `presets`: a name → the values that differ from the
    defaults. The same model is a flow's parameter, a section of the configuration file and what MLflow records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    section: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def build(cls, preset: str | None = None, *layers: Mapping[str, Any]) -> Self:
        """Settings from `preset`, then each of `layers` over it; later layers win, nested models merge.

        Raises:
            InputError: an unknown preset, an unknown field or a value that does not fit; names each field.
        """
        values: dict[str, Any] = {}
        if preset is not None:
            # A preset is one word for the whole pipeline: a stage that does not differ in it keeps its defaults.
            values = _merged(values, cls.presets.get(preset, {}))
        for layer in layers:
            values = _merged(values, layer)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(_explain(cls, cls.section, error)) from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _explain(model: type[BaseModel], section: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        field = ".".join(part for part in (section, *path) if part)
        if problem["type"] == "extra_forbidden":
            known = sorted(_fields_at(model, path[:-1]))
            near = difflib.get_close_matches(path[-1], known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            lines.append(f"setting {field}: there is no such setting; {advice}")
        elif problem["type"] == "missing":
            option = "-".join(path).replace("_", "-")
            lines.append(f"setting {field}: missing; give --{option}, or {path[-1]} below [{section}] in --config FILE")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            # A problem of the settings together (a validator over several fields) has no single value to show.
            given = f" (given: {problem['input']!r})" if path and not _is_secret(model, path[0]) else ""
            lines.append(f"setting {field or 'as a whole'}: {message}{given}")
    return "\n".join(lines)


def _is_secret(model: type[BaseModel], name: str) -> bool:
    """Whether a field holds what must not be shown, not even where it is of the wrong kind."""
    field = model.model_fields.get(name)
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _fields_at(model: type[BaseModel], path: tuple[str, ...]) -> set[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return set()
        model = inner
    return set(model.model_fields)


def read_config(path: Path, known_sections: set[str]) -> dict[str, dict[str, Any]]:
    """The sections of a TOML configuration file.

    Raises:
        InputError: no such file, no valid TOML, or a section that no stage owns.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such configuration file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable TOML file: {error}") from error
    expected = ", ".join(f"[{section}]" for section in sorted(known_sections))
    unknown = sorted(set(content) - known_sections)
    if unknown:
        raise InputError(f"{path}: unknown section or key {', '.join(unknown)}; expected sections: {expected}")
    for section, values in content.items():
        if not isinstance(values, dict):
            raise InputError(f"{path}: {section} is a value; expected a section, [{section}], with settings below it")
    return content


def line_of(path: Path, section: str, field: str) -> int | None:
    """The 1-based line of the TOML file that sets `field` of `section`, as far as it can be told from its text."""
    here = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            here = header[1] == section or header[1].startswith(f"{section}.")
        elif here and re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*[=.]", line):
            return number
    return None
