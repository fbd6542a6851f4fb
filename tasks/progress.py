"""Progress bars on standard error: rate, share done and remaining time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# One display at a time can own the terminal: bars of nested or concurrent stages share it.
_lock = threading.RLock()
_display: Any = None
_users = 0
_reported: dict[str, Any] = {}


@contextmanager
def progress_bar(what: str, total: float | None) -> Iterator[Callable[..., None]]:
    """Show a bar for `total` units of `what` (None: unknown). Yield a function that advances it by 1, or its argument.

    A second argument becomes the bar's text. The function may be called from any thread. Where standard error is no
    terminal, one line is printed at the end.
    """
    display = _acquire()
    bar = display.add_task(what, total=total)

    def advance(units: float = 1, text: str | None = None) -> None:
        display.update(bar, advance=units, description=text)

    try:
        yield advance
    finally:
        display.stop_task(bar)
        _release()


def show_progress(done: int, total: int, what: str, note: str = "") -> None:
    """Set the bar of `what` to `done` of `total`; the bar appears at the first call and is closed when all is done.

    `note` is shown behind its name.

    This is the form of `ssat.reporter.Reporter.progress`, for work that counts by itself.
    """
    with _lock:
        if what not in _reported:
            if done >= total:
                return
            _reported[what] = _acquire().add_task(what, total=total)
        _display.update(_reported[what], completed=done, total=total, description=f"{what}, {note}" if note else what)
        if done >= total:
            _display.stop_task(_reported.pop(what))
            _release()


def close_progress() -> None:
    """Close the bars that `show_progress` left open: its work ended early."""
    with _lock:
        while _reported:
            _, bar = _reported.popitem()
            _display.stop_task(bar)
            _release()


def _acquire() -> Any:
    global _display, _users
    with _lock:
        if _display is None:
            _display = _new_display()
            _display.start()
        _users += 1
        return _display


def _release() -> None:
    global _display, _users
    with _lock:
        _users -= 1
        if _users == 0:
            _display.stop()
            _display = None


def _new_display() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, over the time the bar has run."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Standard output has results only; output of other code is not redirected.
        redirect_stdout=False,
        redirect_stderr=True,
    )
