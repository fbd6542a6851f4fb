"""One collector at a time on a workspace."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from ssat.errors import WorkspaceError

_LOOK_S = 0.3


def locked(folder: Path) -> IO[str]:
    """The collector's lock on `folder`; released when the file is closed, also by the death of its process.

    Raises:
        WorkspaceError: the folder cannot be written, or another collector holds the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".collector.lock").open("a+")
    except OSError as error:
        raise WorkspaceError(
            f"{folder}: not writable ({error.strerror}); give another folder with setting `workspace`"
        ) from error
    try:
        _hold(file)
    except OSError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise WorkspaceError(
            f"workspace {folder.parent}: another collector (process {owner}) is at work in it; wait until it has "
            "finished, or use another workspace"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _hold(file: IO[str]) -> None:
    # A look at the status holds the lock for a moment: wait that long.
    until = time.monotonic() + _LOOK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_S / 10)


def holder(folder: Path) -> int | None:
    """Process id of the collector that is at work in `folder`; None where none is (0 where it did not say)."""
    try:
        file = (folder / ".collector.lock").open("r")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = file.read().strip()
            return int(text) if text.isdigit() else 0
    return None
