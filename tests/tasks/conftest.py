"""SIGTERM as it ends a flow."""

import signal
from collections.abc import Iterator

import pytest


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
