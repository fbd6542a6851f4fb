"""The actor through which a training's workers speak to the command, on a real Ray."""

import threading
import time

import pytest

from ssat.errors import InputError
from tasks.progress_board import new_board, watched

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("ray_cluster")]


def test_what_workers_tell_is_shown_and_the_first_error_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    import ray

    board = new_board()
    with watched(board):
        ray.get([board.set.remote((3, 4, "training steps")), board.fail.remote(InputError("one"))])
        ray.get(board.fail.remote(InputError("another")))
    assert "3/4" in capfd.readouterr().err
    assert str(ray.get(board.failure.remote())) == "one"


def test_a_board_that_is_gone_leaves_the_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    board = new_board()
    with watched(board):
        ray.kill(board)
        time.sleep(2.5)  # the board is asked every second
    assert not raised
