"""Results as JSON values."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssat.json_values import json_values


@dataclass(frozen=True)
class Part:
    name: str
    share: float


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    by_name: dict[int, Part]
    hidden: object = None

    def as_json(self) -> dict[str, object]:
        return {"parts": self.parts, "by name": self.by_name}


def test_dataclasses_become_their_fields_or_what_they_say_themselves() -> None:
    whole = Whole((Part("a", 0.5), Part("b", float("nan"))), {3: Part("c", 1.0)}, object())
    assert json_values({"whole": whole}) == {
        "whole": {
            "parts": [{"name": "a", "share": 0.5}, {"name": "b", "share": None}],
            "by name": {"3": {"name": "c", "share": 1.0}},
        }
    }


def test_values_of_other_types_stay_and_numpy_scalars_become_numbers() -> None:
    assert json_values([np.float64("inf"), np.int64(3), Path("a"), None]) == [None, 3, Path("a"), None]
    assert json_values(Part) is Part
    assert json.dumps(json_values((np.float32(0.5), np.bool_(True)))) == "[0.5, true]"
