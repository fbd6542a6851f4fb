import threading
import time

import pytest

from ssat.pipeline.background import Background


def test_frames_are_handled_in_order_while_the_caller_goes_on() -> None:
    done: list[int] = []
    release = threading.Event()

    def work(number: int) -> None:
        release.wait(5)
        done.append(number)

    with Background(work, depth=4) as background:
        for number in range(4):
            background.submit(number)
        assert done == []
        release.set()
    assert done == [0, 1, 2, 3]
    assert background.seconds > 0


def test_an_error_reaches_the_caller_and_the_thread_ends() -> None:
    def work(number: int) -> None:
        if number == 2:
            raise OSError("disk full")

    def feed() -> None:
        with Background(work, depth=2) as background:
            for number in range(100):
                background.submit(number)
                time.sleep(0.001)

    with pytest.raises(OSError, match="disk full"):
        feed()
    late = Background(work)
    with pytest.raises(OSError, match="disk full"), late:
        late.submit(2)
    assert not [thread for thread in threading.enumerate() if thread.name == "write"]
