"""SIGTERM amid a wait for Ray. (Budgets and suspended runs: tests/flows/test_scale.py and test_deployments.py.)"""

import os
import signal
import time

import pytest

from tasks.halt import terminable
from tests.tasks.conftest import Ended, end


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
    with pytest.raises(Ended), terminable():
        _lose_all_but_interrupts()
    assert signal.getsignal(signal.SIGTERM) is end


@pytest.mark.usefixtures("ended_by_sigterm")
def test_an_interrupt_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), terminable():
        raise KeyboardInterrupt
    with terminable():
        pass
    assert signal.getsignal(signal.SIGTERM) is end
