"""Processes that outlive the command which starts them, found again by their number and the moment of their start."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PATIENCE_S = 15.0


@dataclass(frozen=True)
class Started:
    """One process that was started: its number alone could be another one's by now."""

    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process, None where it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, *, user: str | None = None, folder: Path
) -> Started:
    """Start `command` in a session of its own; what it prints goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    _children.append(process)
    return Started(process.pid, psutil.Process(process.pid).create_time())


# Kept so that a process which ends while its parent lives is reaped and not taken for a live one.
_children: list[subprocess.Popen[bytes]] = []


def family(started: Started) -> list[psutil.Process]:
    """The process and all below it, it first; empty where it has ended."""
    process = started.process()
    if process is None:
        return []
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def stop(started: Started, *, first: int, patience_s: float = _PATIENCE_S) -> None:
    """Ask the process to end with the signal `first`; end by force what is left of it and its children by then."""
    members = family(started)
    if not members:
        return
    with suppress(psutil.NoSuchProcess):
        members[0].send_signal(first)
    _, left = psutil.wait_procs(members, timeout=patience_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    reap()


def kill(started: Started) -> None:
    """SIGKILL for the process and all below it, as when its machine is switched off."""
    members = family(started)
    for process in members:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(members, timeout=10)
    reap()


def reap() -> None:
    """Take note of children that have ended."""
    for process in list(_children):
        if process.poll() is not None:
            _children.remove(process)


def signal_all(started: Started, number: int) -> None:
    """The same signal to the process and all below it."""
    for process in family(started):
        with suppress(psutil.NoSuchProcess):
            os.kill(process.pid, number)


def last_lines(log: Path, lines: int = 5) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def wait_until(what: str, check: Callable[[], bool], started: Started, log: Path, within_s: float) -> None:
    """Return when `check()` is true.

    Raises:
        TimeoutError: not within `within_s` seconds.
        ChildProcessError: the process ended before. Both name the log.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        reap()
        if started.process() is None:
            raise ChildProcessError(f"{what} ended at once; log: {log}\n{last_lines(log)}")
        with suppress(OSError, ValueError):
            if check():
                return
        time.sleep(0.2)
    raise TimeoutError(f"{what} did not answer within {within_s:.0f} s; log: {log}\n{last_lines(log)}")
