"""The way out to the network: how fast requests may leave, and the breaker that stops them all for a while."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ssat.workspace import committed

# Used if the breaker's file has no valid length of its pause.
_UNKNOWN_PAUSE_S = 3600.0
# Tolerance for differing clocks of machines that share an egress.
_CLOCKS_DIFFER_S = 60.0


class Egress(Protocol):
    """The shared state of all downloads through one address. `tasks` has an implementation for several machines."""

    def wait(self, stopped: threading.Event) -> None:
        """Return when the caller may ask a source that counts requests, or soon after `stopped` is set."""

    def open(self, seconds: float, reason: str) -> None:
        """Open the breaker for `seconds`: the source answered "too many requests"."""

    def pause_s(self) -> float:
        """Return seconds for which nothing may be downloaded; 0 when downloads may go on."""

    def pause(self) -> str:
        """Return why and until when nothing may be downloaded, in words; empty when downloads may go on."""


class LocalEgress:
    """The egress of one collector: spaces its own requests; its breaker is a file, so a new run finds it open."""

    def __init__(self, path: Path, per_hour: int, jitter_s: float = 0.0) -> None:
        self._pacer = Pacer(per_hour)
        self._jitter_s = jitter_s
        self._breaker = Breaker(path)

    def wait(self, stopped: threading.Event) -> None:
        self._pacer.wait(stopped)
        jitter(self._jitter_s, stopped)

    def open(self, seconds: float, reason: str) -> None:
        self._breaker.open(seconds, reason)

    def pause_s(self) -> float:
        return self._breaker.pause_s()

    def pause(self) -> str:
        return describe_pause(self.pause_s(), self._breaker.reason)


def jitter(mean_s: float, stopped: threading.Event) -> None:
    """Wait between 0 and twice `mean_s` seconds: requests at even intervals look like what they are."""
    if mean_s:
        stopped.wait(random.uniform(0, 2 * mean_s))  # noqa: S311 - no secret hangs on it


def describe_pause(seconds: float, reason: str) -> str:
    """Return the pause in words; empty when there is none."""
    if seconds <= 0:
        return ""
    until = datetime.fromtimestamp(time.time() + seconds).astimezone()
    return f"too many requests ({reason}): downloads pause until {until:%Y-%m-%d %H:%M}; run again after that"


class Pacer:
    """Rate limiter: at most `per_hour` callers an hour, evenly spaced, over all threads."""

    def __init__(self, per_hour: int) -> None:
        self._interval = 3600.0 / per_hour
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, stopped: threading.Event) -> None:
        """Return when it is this caller's turn, or at once when `stopped` is set."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._interval
        stopped.wait(max(0.0, turn - time.monotonic()))


class Pause:
    """A pause of `seconds` that began at `opened` (Unix time), told by two clocks.

    A wall clock that is set back would make it longer: within a process a monotonic clock bounds it, and one
    that seems to begin in the future counts from now.

    Attributes:
        opened: when it began, or now.
        moved: whether it seemed to begin in the future.
    """

    def __init__(self, opened: float = 0.0, seconds: float = 0.0, reason: str = "") -> None:
        now = time.time()
        self.moved = opened > now + _CLOCKS_DIFFER_S
        self.opened = min(opened, now)
        self.seconds = seconds
        self.reason = reason
        self._until = time.monotonic() + self._by_wall_clock()

    def left_s(self) -> float:
        """Return seconds that remain; 0 when it is over."""
        return max(0.0, min(self._by_wall_clock(), self._until - time.monotonic()))

    def _by_wall_clock(self) -> float:
        return min(self.seconds, max(0.0, self.opened + self.seconds - time.time()))


class Breaker:
    """Open while downloads have to pause. Kept in a file, so that starting again does not shorten the pause."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._pause = _read(path)
        except FileNotFoundError:
            self._pause = Pause()
        except (OSError, ValueError, KeyError, TypeError):
            # A one-hour pause avoids a ban: an unreadable file counts as just opened.
            self._pause = Pause(time.time(), _UNKNOWN_PAUSE_S, "unreadable breaker file")
        if self._pause.moved:
            self._save()  # or each run would find a pause that has just begun

    @property
    def reason(self) -> str:
        """Reason of the pause."""
        return self._pause.reason

    def open(self, seconds: float, reason: str) -> None:
        """Pause for `seconds` from now; a longer pause that already runs stays."""
        with self._lock:
            self._pause = Pause(time.time(), max(self.pause_s(), seconds), reason)
            self._save()

    def pause_s(self) -> float:
        """Return seconds that remain. A clock that was set back cannot make the pause longer than it was."""
        return self._pause.left_s()

    def _save(self) -> None:
        content = {name: getattr(self._pause, name) for name in ("opened", "seconds", "reason")}
        with committed(self._path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")


def _read(path: Path) -> Pause:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Pause(float(content["opened"]), float(content["seconds"]), str(content["reason"]))
