"""Reasons to stop early and cleanly: a budget that is spent, a flow run that a person suspended on Prefect's page.

Work that takes long asks `halted` between its pieces (shards of clips, frame shards). Prefect 3 runs tasks on the
client and does not interrupt a run that is suspended, so the run has to look for itself.
"""

from __future__ import annotations

import contextvars
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ssat.errors import SsatError

_ASK_EVERY_S = 2.0
_reasons: contextvars.ContextVar[tuple[Callable[[], str], ...]] = contextvars.ContextVar("reasons", default=())
_notes: contextvars.ContextVar[tuple[Callable[[dict[str, int]], None], ...]] = contextvars.ContextVar(
    "notes", default=()
)


class Halted(SsatError):  # noqa: N818 - requested, not an error
    """The work stopped early, on purpose; what is finished is kept, and the next run continues from there."""


@contextmanager
def halting(reason: Callable[[], str], note: Callable[[dict[str, int]], None] = lambda _: None) -> Iterator[None]:
    """Work inside stops early as soon as `reason()` is not empty; `note` is called with the outcomes of its clips."""
    tokens = _reasons.set((*_reasons.get(), reason)), _notes.set((*_notes.get(), note))
    try:
        yield
    finally:
        _reasons.reset(tokens[0])
        _notes.reset(tokens[1])


def note_outcomes(by_class: dict[str, int]) -> None:
    """Report the outcomes of a piece's clips to the counter: number by outcome."""
    for note in _notes.get():
        note(by_class)


def halted() -> str:
    """Return why the work has to stop now; an empty text if it may go on."""
    return next((text for reason in _reasons.get() if (text := reason())), "")


def stop_if_halted() -> None:
    """Raise Halted where the work has to stop now."""
    if reason := halted():
        raise Halted(reason)


class Suspension:
    """Whether a person suspended or paused this flow run on Prefect's page.

    A pause (which keeps the process) is waited out where it is noticed; a suspension (which ends the process, to be
    started again on "resume") is a reason to stop.
    """

    def __init__(self, flow_run_id: Any) -> None:
        self._id = flow_run_id
        self._asked = time.monotonic()
        self.state: Any = None

    def reason(self) -> str:
        """Return the reason to stop, for `halting`; asks the server every other second at most."""
        if self.state is None and time.monotonic() - self._asked >= _ASK_EVERY_S:
            self.state = self._ask()
            self._asked = time.monotonic()
        return "suspended on Prefect's page; it continues from here when it is resumed" if self.state else ""

    def _ask(self) -> Any:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            while True:
                state = client.read_flow_run(self._id).state
                if state is None or not state.is_paused():
                    return None
                if state.state_details.pause_reschedule:
                    return state
                time.sleep(_ASK_EVERY_S)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends a wait for Ray inside, and then has the effect that it had outside.

    While Ray is waited for it passes on a KeyboardInterrupt, and loses what other handlers raise: Prefect's as well.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    terminated = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if terminated:
            before(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
