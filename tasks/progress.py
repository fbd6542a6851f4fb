"""Progress of running work on standard error: a table on the terminal, or lines of JSON."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ssat.json_values import json_values

EVERY_S = 5.0  # between lines of JSON

# One display at a time can own the terminal: bars of nested or concurrent stages share it.
_lock = threading.RLock()
_display: Any = None
_users = 0
_reported: dict[str, Bar] = {}
_as_json = False
_NO_FIELDS: dict[str, Any] = {"in_flight": None, "queued": None, "pieces": "", "failures": 0, "last_failure": ""}


@dataclass(frozen=True)
class StageProgress:
    """How far a piece of work is.

    Attributes:
        progress: what is counted, such as "clips".
        done: units so far.
        total: units in all; None: not known.
        queued: pieces of work that have not begun; None: not known.
        in_flight: pieces of work that are going on; None: not told.
        pieces: their name; empty where a unit is a piece.
        per_second: units a second of late; None: not known yet.
        remaining_s: seconds that the rest takes at that rate; None: not known yet.
        failures: units that failed.
        last_failure: class and reason of the last that failed.
    """

    progress: str
    done: float
    total: float | None
    queued: float | None
    in_flight: int | None
    pieces: str
    per_second: float | None
    remaining_s: float | None
    failures: int
    last_failure: str

    def as_json(self) -> Mapping[str, object]:
        """Return the values that are known."""
        return {name: value for name, value in vars(self).items() if value is not None and value != ""}


class Bar:
    """One line of the progress. Its methods may be called from any thread."""

    def __init__(self, display: Any, what: str, total: float | None) -> None:
        self._display, self._lock = display, threading.Lock()
        self._id = display.add_task(what, total=total, **_NO_FIELDS)
        self._told_at = time.monotonic()

    def __call__(self, units: float = 1, text: str | None = None) -> None:
        """Advance by `units`; `text` becomes the name of the line."""
        self._display.update(self._id, advance=units, description=text)
        self._tell()

    def set(self, done: float, total: float, text: str) -> None:
        """Set what is done, the total and the name of the line."""
        self._display.update(self._id, completed=done, total=total, description=text)
        self._tell()

    def in_flight(self, running: int, queued: int | None = None, pieces: str = "") -> None:
        """Set how many pieces of work are running and how many wait.

        Args:
            running: going on.
            queued: waiting; None: all units that are neither done nor going on.
            pieces: name of the pieces; empty where a unit is a piece.
        """
        self._display.update(self._id, in_flight=running, queued=queued, pieces=pieces)

    def started(self) -> None:
        """Count one more running unit."""
        with self._lock:
            self.in_flight((self._bar.fields["in_flight"] or 0) + 1)

    def ended(self) -> None:
        """Count one running unit less."""
        with self._lock:
            self.in_flight(max(0, (self._bar.fields["in_flight"] or 0) - 1))

    def failed(self, reason: str, units: int = 1) -> None:
        """Count failed units. The caller also counts them as done."""
        with self._lock:
            failures = self._bar.fields["failures"] + units
            self._display.update(self._id, failures=failures, last_failure=" ".join(reason.split())[:200])

    def now(self) -> StageProgress:
        """Return the current progress."""
        bar = self._bar
        rate = bar.finished_speed or bar.speed
        return StageProgress(
            bar.description,
            bar.completed,
            bar.total,
            _queued(bar),
            bar.fields["in_flight"],
            bar.fields["pieces"],
            None if rate is None else round(rate, 3),
            bar.time_remaining,
            bar.fields["failures"],
            bar.fields["last_failure"],
        )

    def close(self) -> None:
        """Stop the clock of the line."""
        self._display.stop_task(self._id)
        self._tell(last=True)

    @property
    def _bar(self) -> Any:
        return self._display.tasks[self._display.task_ids.index(self._id)]

    def _tell(self, *, last: bool = False) -> None:
        if not _as_json:
            return
        with self._lock:
            if not last and time.monotonic() - self._told_at < EVERY_S:
                return
            self._told_at = time.monotonic()
        import click

        click.echo(json.dumps(json_values(self.now())), err=True)


def _queued(bar: Any) -> float | None:
    """Return the number of pieces of a rich task that have not begun; None: not known."""
    queued: float | None = bar.fields["queued"]
    if queued is None and bar.total is not None and bar.fields["in_flight"] is not None:
        return float(max(0, bar.total - bar.completed - bar.fields["in_flight"]))
    return queued


def progress_as_json(wanted: bool) -> None:
    """Choose lines of JSON, every five seconds and at the end of each piece of work, instead of the table."""
    global _as_json
    _as_json = wanted


@contextmanager
def progress_bar(what: str, total: float | None) -> Iterator[Bar]:
    """Show a bar for `total` units of `what` (None: not known), which the block advances.

    Where standard error is no terminal, one line is printed at the end.
    """
    bar = Bar(_acquire(), what, total)
    try:
        yield bar
    finally:
        bar.close()
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
            _reported[what] = Bar(_acquire(), what, total)
        _reported[what].set(done, total, f"{what}, {note}" if note else what)
        if done >= total:
            _reported.pop(what).close()
            _release()


def close_progress() -> None:
    """Close the bars that `show_progress` left open: its work ended early."""
    with _lock:
        while _reported:
            _, bar = _reported.popitem()
            bar.close()
            _release()


def _acquire() -> Any:
    global _display, _users
    with _lock:
        if _display is None:
            _display = _new_display()
            if not _as_json:
                _display.start()
        _users += 1
        return _display


def _release() -> None:
    global _display, _users
    with _lock:
        _users -= 1
        if _users == 0:
            if _display.live.is_started:
                _display.stop()
            _display = None


def _new_display() -> Any:
    from rich.console import Console, RenderableType
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
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, over the time the bar has run."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    class InFlight(ProgressColumn):
        """Queued, running and failed pieces of work, if they are counted."""

        def render(self, task: Task) -> Text:
            in_flight, queued, words = task.fields["in_flight"], _queued(task), []
            if in_flight is not None and not task.finished:
                pieces = f" {task.fields['pieces']}".rstrip()
                words += [] if queued is None else [f"{queued:.0f}{pieces} queued"]
                words += [f"{in_flight}{pieces if queued is None else ''} in flight"]
            if task.fields["failures"]:
                words.append(f"{task.fields['failures']} failed")
            return Text(", ".join(words))

    class Table(Progress):
        """The bars, and below them the last failure of each."""

        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            for task in self.tasks:
                if task.fields["last_failure"]:
                    yield Text(f"last failure of {task.description}: {task.fields['last_failure']}", style="dim")

    return Table(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        InFlight(Column(no_wrap=True)),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Standard output has results only; output of other code is not redirected.
        redirect_stdout=False,
        redirect_stderr=True,
    )
