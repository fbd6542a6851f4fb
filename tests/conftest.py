"""Fixtures that several folders of tests share."""

import os
from pathlib import Path

import pytest

from ssat.workspace import Workspace

_PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The evaluation data, by SSAT_REAL_DATA or beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SSAT_REAL_DATA", _PROJECT.parent / "shared" / "data"))
    if not (folder / "mot").is_dir():
        pytest.skip(f"no evaluation data at {folder}; set SSAT_REAL_DATA")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace.open(tmp_path / "workspace")
