"""Results as JSON values, for standard output and files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def json_values(value: Any) -> Any:
    """Return `value` of plain types alone; a number that does not exist (0/0) becomes None.

    A dataclass becomes a dictionary of its fields, or what its method `as_json` returns where it has one.
    """
    if is_dataclass(value) and not isinstance(value, type):
        convert = getattr(value, "as_json", None)
        named = {field.name: getattr(value, field.name) for field in fields(value)} if convert is None else convert()
        return json_values(named)
    if isinstance(value, Mapping):
        return {str(key): json_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # A numpy scalar knows its Python value; asking it needs no import of numpy.
    return json_values(value.item()) if type(value).__module__ == "numpy" and value.ndim == 0 else value
