"""Marks on the fields of settings: identifies a result, affects only the execution, or names a file.

A field carries its marks in its annotation: `workers: Annotated[int, Runtime()]`. Keys of results, comparisons of runs
and deployments read them from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Mark:
    """Base of the marks."""


@dataclass(frozen=True)
class Runtime(Mark):
    """Place, speed and safety of the work; the result is the same."""


@dataclass(frozen=True)
class Budget(Mark):
    """How much is done: with a larger value the work continues from what a smaller one gave."""


@dataclass(frozen=True)
class Replicate(Mark):
    """One of several results of the same recipe, such as a seed."""


@dataclass(frozen=True)
class ByContent(Mark):
    """Name of data or of a network; a result is identified by the digest of its content instead."""


@dataclass(frozen=True)
class Scoring(Mark):
    """Scoring of tracks; the tracks are the same."""


@dataclass(frozen=True)
class Display(Mark):
    """Files that are written with the scores; the scores are the same."""


@dataclass(frozen=True)
class LocalPath(Mark):
    """May name a file or folder of this machine."""


@dataclass(frozen=True)
class Positional(Mark):
    """Given by its place rather than by its name, where settings are typed; `metavar`: what it is called there."""

    metavar: str


def marked(model: type[BaseModel], *marks: type[Mark]) -> frozenset[str]:
    """Return the settings of `model` that carry one of `marks`, settings inside settings with a dot (`reid.layout`).

    Settings inside a marked one are marked too.
    """
    return frozenset(name for name, _ in _marked(model, marks, "", False))


def without(settings: BaseModel, *marks: type[Mark]) -> dict[str, Any]:
    """Return `settings` as JSON values, leaving out those that carry one of `marks`."""
    return _without(settings.model_dump(mode="json"), marked(type(settings), *marks), "")


def _without(values: dict[str, Any], left_out: frozenset[str], prefix: str) -> dict[str, Any]:
    return {
        name: _without(value, left_out, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in values.items()
        if f"{prefix}{name}" not in left_out
    }


def _marked(
    model: type[BaseModel], marks: tuple[type[Mark], ...], prefix: str, inherited: bool
) -> Iterator[tuple[str, FieldInfo]]:
    flat = getattr(model, "fields", None)  # composed settings are flat outside of the code
    for name, field in (flat() if flat is not None else model.model_fields).items():
        here = inherited or any(isinstance(mark, marks) for mark in field.metadata)
        if here:
            yield f"{prefix}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _marked(field.annotation, marks, f"{prefix}{name}.", here)
