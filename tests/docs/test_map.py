"""The map of CONTRIBUTING.md names what is there."""

import re
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PATHS = sorted(
    set(
        re.findall(r"`((?:ssat|tasks|flows|tests|docs)/[\w./]*|prefect\.yaml)", (_ROOT / "CONTRIBUTING.md").read_text())
    )
)


def test_it_names_paths() -> None:
    assert len(_PATHS) > 40


@pytest.mark.parametrize("path", _PATHS)
def test_a_path_exists(path: str) -> None:
    assert (_ROOT / path).exists(), f"CONTRIBUTING.md names {path}, which is not there: change the map"


def test_the_floors_are_those_that_the_import_linter_checks() -> None:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    (layers,) = [
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["ssat"]
    ]
    checked = [set(re.findall(r"\w+", layer)) for layer in layers[:-1]]
    rows = re.findall(r"^\| \d+ \| (.*?) \|", (_ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    told = [set(re.findall(r"`ssat/(\w+)/`", row)) for row in rows]
    assert told[:-1] == checked
