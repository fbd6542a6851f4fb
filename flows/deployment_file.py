"""The file of deployments, prefect.yaml: its path and the flows that it names. Does not import Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from flows.stage import STAGES, Stage, stage_named
from ssat.errors import InputError

FILE_NAME = "prefect.yaml"
ENTRY_POINTS = "flows.deployments."
_FORMER = {"study": "study_clips"}  # entry point of earlier files → its stage


def entry_stage_name(entry_point: str) -> str:
    """Return the name of the stage that an entry point stands for."""
    return _FORMER.get(entry_point, entry_point)


def entry_stage(entry_point: str) -> Stage[Any, Any]:
    """Return the stage that an entry point stands for."""
    return stage_named(entry_stage_name(entry_point))


def prefect_file(given: Path | None) -> Path:
    """`given`, else prefect.yaml in the current folder, else the one that comes with this project.

    Raises:
        InputError: there is none.
    """
    here = Path(__file__).resolve().parent
    places = [given] if given is not None else [Path(FILE_NAME), here.parent / FILE_NAME, here / FILE_NAME]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"{places[0]}: no such file; expected deployments as in this project's {FILE_NAME}")
    return found


def check_deployments(path: Path, only: Sequence[str] = ()) -> None:
    """Check before Prefect is imported that the file is YAML and has a deployment of every flow in `only`.

    Raises:
        InputError: it is not, or it has not.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    try:
        known = [str(entry["entrypoint"]).removeprefix(ENTRY_POINTS) for entry in content["deployments"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a list of deployments under `deployments`") from error
    for name in only:
        if name not in known and name not in STAGES:
            raise InputError(f"{path}: no deployment of a flow {name}; it has {', '.join(known)}")
