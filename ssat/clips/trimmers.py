"""Processes that trim: a video that crashes its decoder takes one process down, never the collector."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from ssat.clips.trim import TrimmedClip, TrimSettings, trim_clip

# Not forked: the collector has threads, and a lock that one of them holds would be held in the child for ever.
_CONTEXT = multiprocessing.get_context("spawn")


def _prepare() -> None:
    """In each process: leave Ctrl-C to the collector, and end when the collector ends, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


class Trimmers:
    """A pool of `count` processes, renewed when one of them dies."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def trim(
        self, source: Path, target: Path, settings: TrimSettings, start_s: float, end_s: float | None
    ) -> TrimmedClip:
        """`trim_clip` in another process; raises what it raises.

        Raises:
            BrokenProcessPool: this very video brought its process down.
        """
        pool = self._current()
        try:
            return pool.submit(trim_clip, source, target, settings, start_s=start_s, end_s=end_s).result()
        except BrokenProcessPool:
            with self._lock:
                if self._pool is pool:
                    self._pool = None
        # The pool does not report which video crashed it: each one in flight is tried alone.
        with ProcessPoolExecutor(1, _CONTEXT, _prepare) as alone:
            return alone.submit(trim_clip, source, target, settings, start_s=start_s, end_s=end_s).result()

    def _current(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self._count, _CONTEXT, _prepare)
            return self._pool

    def close(self) -> None:
        """End the processes; what they were doing is dropped."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None
