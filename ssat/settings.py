"""Settings of a stage: one frozen model per stage, built from a preset, a TOML section and explicit values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

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
            raise InputError(_explain(cls.section, error)) from error


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _explain(section: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in (section, *problem["loc"]) if part != "")
        given = "" if problem["type"] == "missing" else f" (given: {problem['input']!r})"
        lines.append(f"setting {field or 'as a whole'}: {problem['msg']}{given}")
    return "\n".join(lines)


def read_config(path: Path, known_sections: set[str]) -> dict[str, Any]:
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
    unknown = sorted(set(content) - known_sections)
    if unknown:
        raise InputError(
            f"{path}: unknown section or key {', '.join(unknown)}; "
            f"expected sections: {', '.join(sorted(known_sections))}"
        )
    return content
