"""Fixtures that several folders of tests share."""

import os
from collections.abc import Iterator
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


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Prefect server for all tests that run flows; `services(...)` and child processes connect to it."""
    from tasks.services import prefect_session

    with prefect_session(Workspace.open(tmp_path_factory.mktemp("prefect"))) as url:
        yield url


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One real local Ray for all tests of this process that need it; `services(ray=True)` uses it."""
    from tasks.services import ray_session

    with ray_session():
        yield
