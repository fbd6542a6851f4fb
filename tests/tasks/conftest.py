"""SIGTERM as it ends a flow."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssat.clips.roster import ROSTER_SCHEMA, save_roster
from ssat.workspace import Workspace


@pytest.fixture
def with_roster() -> Callable[[Path], Path]:
    """A function that gives a workspace an empty roster, so that `ssat decode` goes as far as its services."""

    def write(root: Path) -> Path:
        save_roster(Workspace.open(root), ROSTER_SCHEMA.empty_table(), {})
        return root

    return write


class Ended(BaseException):
    """What Prefect's handler raises is no Exception either."""


@pytest.fixture
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises Ended."""
    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


def end(*_: object) -> None:
    """The handler of `ended_by_sigterm`."""
    raise Ended
