"""Progress and errors of Ray's processes, for the process that owns the terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ssat.errors import SsatError
from tasks.progress import Bar, progress_bar


class ProgressBoard:
    """A Ray actor that holds the latest progress, and the error that another try would meet again."""

    def __init__(self) -> None:
        self._latest: tuple[int, int, str, str] | None = None
        self._failure: SsatError | None = None

    def set(self, latest: tuple[int, int, str, str]) -> None:
        """`latest`: done, total, what and note, as in `ssat.reporter.Reporter.progress`."""
        self._latest = latest

    def get(self) -> tuple[int, int, str, str] | None:
        """Return the latest progress, None before the first."""
        return self._latest

    def fail(self, error: SsatError) -> None:
        """Keep the first error that the user has to put right."""
        self._failure = self._failure or error

    def failure(self) -> SsatError | None:
        """Return the error kept, if any."""
        return self._failure


def new_board() -> Any:
    """Return a board on the caller's node: with another node it could go, and no worker begins without asking it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board: Any = ray.remote(num_cpus=0, scheduling_strategy=here)  # type: ignore[call-overload]
    return board(ProgressBoard).remote()


@contextmanager
def watched(board: Any) -> Iterator[Bar]:
    """Show what the actor `board` holds while the block runs, and once more at its end; yields the bar."""
    stop = threading.Event()
    with progress_bar("training steps", None) as bar:

        def show() -> None:
            import ray
            from ray.exceptions import RayError

            done = False
            while not done:
                done = stop.wait(1.0)
                try:
                    latest = ray.get(board.get.remote())
                except RayError:
                    continue  # the work itself reports errors; a stalled bar is not reported
                if latest is not None:
                    completed, total, what, *note = latest
                    bar.set(completed, total, ", ".join(filter(None, (what, *note))))

        thread = threading.Thread(target=show, name="ray-progress", daemon=True)
        thread.start()
        try:
            yield bar
        finally:
            stop.set()
            thread.join()
