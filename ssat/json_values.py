"""Results as JSON values, for standard output and files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def json_values(value: Any, *, finite: bool = True) -> Any:
    """Return `value` of plain types alone; a number that does not exist (0/0) becomes None, if it is to be `finite`.

    A dataclass becomes a dictionary of its fields, or what its method `as_json` returns where it has one.
    """
    if is_dataclass(value) and not isinstance(value, type):
        convert = getattr(value, "as_json", None)
        named = {field.name: getattr(value, field.name) for field in fields(value)} if convert is None else convert()
        return json_values(named, finite=finite)
    if isinstance(value, Mapping):
        return {str(key): json_values(inner, finite=finite) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(inner, finite=finite) for inner in value]
    if finite and isinstance(value, float) and not math.isfinite(value):
        return None
    # A numpy scalar knows its Python value; asking it needs no import of numpy.
    scalar = type(value).__module__ == "numpy" and value.ndim == 0
    return json_values(value.item(), finite=finite) if scalar else value
