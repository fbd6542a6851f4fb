"""Work that continues in a thread of its own while the next frame is computed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any


class Background(AbstractContextManager["Background"]):
    """A thread that calls a function for one frame after the other, in order.

    `submit` waits while `depth` frames are pending, so that memory and delay stay bounded. An error of the function is
    raised by the next `submit`, or when the context ends; the frames after it are dropped.
    """

    def __init__(self, function: Callable[..., None], depth: int = 8) -> None:
        self.seconds = 0.0
        self._function = function
        self._pending: queue.Queue[tuple[Any, ...] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def submit(self, *arguments: Any) -> None:
        """Submit the next frame."""
        self._raise()
        self._pending.put(arguments)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pending.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        import time

        failed = False
        while (arguments := self._pending.get()) is not None:
            if failed:
                continue
            began = time.perf_counter()
            try:
                self._function(*arguments)
            except BaseException as error:  # noqa: BLE001 - raised again where the frames come from
                self._error, failed = error, True
            self.seconds += time.perf_counter() - began
