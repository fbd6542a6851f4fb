"""SIGTERM amid a wait for Ray. (Budgets and suspended runs: tests/flows/test_scale.py and test_deployments.py.)"""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tasks.halt import terminable


class _Ended(BaseException):
    """What Prefect's handler raises is no Exception either."""


def _end(*_: object) -> None:
    raise _Ended


@pytest.fixture
def ended_by_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, _end)
    yield
    signal.signal(signal.SIGTERM, before)


def _lose_all_but_interrupts() -> None:
    """As Ray's wait does with what a handler raises."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001
        return


@pytest.mark.usefixtures("ended_by_sigterm")
def test_sigterm_ends_the_wait_and_then_does_what_it_did() -> None:
    with pytest.raises(_Ended), terminable():
        _lose_all_but_interrupts()
    assert signal.getsignal(signal.SIGTERM) is _end


@pytest.mark.usefixtures("ended_by_sigterm")
def test_an_interrupt_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), terminable():
        raise KeyboardInterrupt
    with terminable():
        pass
    assert signal.getsignal(signal.SIGTERM) is _end
