"""Where services can run in tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.services import postgres


@pytest.fixture(scope="module")
def services_folder() -> Iterator[Path]:
    """A folder for a stack with PostgreSQL; the test is skipped where that is not installed."""
    try:
        postgres.program("postgres")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    # The server's account has to get through, which pytest's own folders do not allow.
    folder = Path(tempfile.mkdtemp(prefix="ssat-services-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
