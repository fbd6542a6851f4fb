"""Pieces of work on a real local Ray: results as they come, and an end by SIGTERM."""

import os
import signal
import threading
import time

import pytest

from tasks.ray_work import Share, run_bounded
from tests.tasks.conftest import Ended

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_cluster")]


def _sleep(seconds: float, threads: int) -> float:
    time.sleep(seconds)
    return seconds


def test_results_come_as_they_are_ready() -> None:
    assert [result for _, result in run_bounded(_sleep, [2.0, 0.1], Share(threads=1, in_flight=2))] == [0.1, 2.0]


@pytest.mark.usefixtures("ended_by_sigterm")
@pytest.mark.parametrize("after_s", [1.1, 1.35, 1.6])
def test_sigterm_ends_the_wait_and_the_work(after_s: float) -> None:
    began = time.monotonic()
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(Ended):
        list(run_bounded(_sleep, [60.0], Share(threads=1, in_flight=1)))
    assert time.monotonic() - began < 30
