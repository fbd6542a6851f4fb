"""Settings of a stage: one frozen model per stage, built from a preset, a TOML section and explicit values."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    SecretStr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ssat.errors import InputError


class StageSettings(BaseModel):
    """Base of every stage's settings.

    A subclass names its TOML section in `section` and may give `presets`: a name → the values that differ from the
    defaults. The same model is a flow's parameter, a section of the configuration file and what is recorded of a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    section: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def build(cls, preset: str | None = None, *layers: Mapping[str, Any]) -> Self:
        """Return settings from `preset`, then each of `layers` over it; later layers win, nested models merge.

        Raises:
            InputError: an unknown preset, an unknown field or a value that does not fit; names each field.
        """
        values: dict[str, Any] = {}
        if preset is not None:
            # A preset applies to the whole pipeline: a stage without values for it keeps its defaults.
            values = _merged(values, cls.flattened(cls.presets.get(preset, {})))
        for layer in layers:
            values = _merged(values, cls.flattened(_renamed(cls, layer)))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InputError(_explain(cls, cls.section, error)) from error

    @model_validator(mode="before")
    @classmethod
    def _take_former_names(cls, values: Any) -> Any:
        return _renamed(cls, values) if isinstance(values, Mapping) else values

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """Return the settings by the names that configuration files, options and records give them."""
        return dict(cls.model_fields)

    @classmethod
    def flattened(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` by the names of `fields`."""
        return dict(values)

    @classmethod
    def outer_path(cls, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the place of a value by the names of `fields`; empty for the settings as a whole."""
        return path


def former_names(model: type[BaseModel]) -> dict[str, str]:
    """Return former name → field of a model's own fields."""
    return {
        mark.name: name
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, FormerName)
    }


def _renamed(model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `values` with present names in place of former ones.

    Raises:
        InputError: a value under both names.
    """
    former = {old: new for old, new in former_names(model).items() if old in values}
    for old, new in former.items():
        if new in values:
            section = getattr(model, "section", "")
            raise InputError(f"setting {section}.{old}: is the former name of {new}, which is given too; give one")
    return {former.get(name, name): value for name, value in values.items()} if former else values


@dataclass(frozen=True)
class FlatName:
    """Mark of a component's field whose name among the stage's settings differs from its own."""

    name: str


@dataclass(frozen=True)
class FormerName:
    """Mark of a field that had another name in an earlier version; values under that name are still accepted."""

    name: str


@dataclass(frozen=True)
class OmittedAtDefault:
    """Mark of a setting that records omit at its default: earlier results keep their identity."""


class Component(BaseModel):
    """A group of settings that one part of a stage owns."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


@functools.cache
def _places(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Flat name → path in a model, its components opened."""
    places: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        component = _component(field)
        if component is None:
            inner: dict[str, tuple[str, ...]] = {name: (name,)}
        else:
            inner = {flat_name(part, info): (name, part) for part, info in component.model_fields.items()}
        if clash := set(inner) & set(places):
            raise TypeError(f"{model.__name__}: several settings are called {', '.join(sorted(clash))}")
        places |= inner
    return places


def _component(field: FieldInfo | None) -> type[Component] | None:
    annotation = field.annotation if field is not None else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, Component) else None


def flat_name(name: str, field: FieldInfo) -> str:
    """Return how a component's field is called among the settings of the stage."""
    return next((mark.name for mark in field.metadata if isinstance(mark, FlatName)), name)


class ComposedSettings(StageSettings):
    """Settings of a stage that are composed of components in code, and flat everywhere else.

    Configuration files, options, JSON and records hold the fields of all components on one level, under the name that
    `FlatName` gives or their own. Construction, `build` and `model_copy(update=…)` take flat names and whole components
    alike; `model_dump` and the JSON schema are flat.
    """

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """Return the settings of all components by their flat names."""
        found = {}
        for flat, path in _places(cls).items():
            component = _component(cls.model_fields[path[0]])
            found[flat] = cls.model_fields[flat] if component is None else component.model_fields[path[1]]
        return found

    @classmethod
    def flattened(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` with the parts of whole components under their flat names."""
        flat: dict[str, Any] = {}
        for name, value in values.items():
            component = _component(cls.model_fields.get(name))
            if component is None or not isinstance(value, Mapping | Component):
                flat[name] = value
                continue
            for part, inner in dict(value).items():
                info = component.model_fields.get(part)
                flat[flat_name(part, info) if info is not None else part] = inner
        return flat

    @classmethod
    def outer_path(cls, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the place of a value by its flat name; empty for a component as a whole."""
        component = _component(cls.model_fields.get(path[0])) if path else None
        if component is None or path[:1] in _places(cls).values():
            return path
        if len(path) == 1:
            return ()
        return (flat_name(path[1], component.model_fields[path[1]]), *path[2:])

    @model_validator(mode="before")
    @classmethod
    def _compose(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        composed: dict[str, Any] = {}
        for name, value in cls.flattened(values).items():
            path = _places(cls).get(name, (name,))
            if len(path) == 1:
                composed[name] = value
            else:
                composed.setdefault(path[0], {})[path[1]] = value
        return composed

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        nested = handler(self)
        flat: dict[str, Any] = {}
        for name, path in _places(type(self)).items():
            if path[0] not in nested or (len(path) == 2 and path[1] not in nested[path[0]]):
                continue
            value = nested[path[0]] if len(path) == 1 else nested[path[0]][path[1]]
            field = self.fields()[name]
            if value != field.default or not any(isinstance(mark, OmittedAtDefault) for mark in field.metadata):
                flat[name] = value
        return flat

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the values of `update`, under flat names or as whole components; not validated.

        Raises:
            TypeError: a name that is no setting.
        """
        changed: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for name, value in (update or {}).items():
            path = _places(type(self)).get(name)
            if isinstance(value, Component) and name in type(self).model_fields:
                changed[name] = value
            elif path is None:
                raise TypeError(f"{type(self).__name__} has no setting {name}")
            elif len(path) == 1:
                changed[name] = value
            else:
                parts.setdefault(path[0], {})[path[1]] = value
        for component, values in parts.items():
            changed[component] = (changed.get(component) or getattr(self, component)).model_copy(update=values)
        return super().model_copy(update=changed, deep=deep)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        given = schema.pop("properties", {})
        properties: dict[str, Any] = {}
        for name, path in _places(cls).items():
            if len(path) == 1:
                properties[name] = given[name]
                continue
            reference = given[path[0]]
            component = handler.resolve_ref_schema({"$ref": reference["$ref"]} if "$ref" in reference else reference)
            properties[name] = {**component["properties"][path[1]], "title": name.replace("_", " ").title()}
        return {**schema, "properties": properties}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _explain(model: type[StageSettings], section: str, error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        path = model.outer_path(tuple(str(part) for part in problem["loc"]))
        field = ".".join(part for part in (section, *path) if part)
        if problem["type"] == "extra_forbidden":
            known = sorted(_fields_at(model, path[:-1]))
            near = difflib.get_close_matches(path[-1], known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            lines.append(f"setting {field}: there is no such setting; {advice}")
        elif problem["type"] == "missing":
            option = ".".join(path)
            lines.append(
                f"setting {field}: missing; give setting `{option}`, or {path[-1]} below [{section}] in the file of "
                "setting `config`"
            )
        else:
            message = problem["msg"].removeprefix("Value error, ")
            # A validator over several fields has no single value to show.
            given = f" (given: {problem['input']!r})" if path and not _is_secret(model, path[0]) else ""
            lines.append(f"setting {field or 'as a whole'}: {message}{given}")
    return "\n".join(lines)


def _is_secret(model: type[StageSettings], name: str) -> bool:
    """Return whether a field holds what must not be shown, not even where it is of the wrong kind."""
    field = model.fields().get(name)
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _fields_at(model: type[StageSettings], path: tuple[str, ...]) -> set[str]:
    fields = model.fields()
    for part in path:
        field = fields.get(part)
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return set()
        fields = dict(inner.model_fields)
    return set(fields)


def read_config(path: Path, known_sections: set[str]) -> dict[str, dict[str, Any]]:
    """Return the sections of a TOML configuration file.

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
    """Return the 1-based line of the TOML file that sets `field` of `section`, if its text shows it."""
    here = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            here = header[1] == section or header[1].startswith(f"{section}.")
        elif here and re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*[=.]", line):
            return number
    return None
