"""One collector at a time on a workspace."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from ssat.errors import WorkspaceError


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
            f"{folder}: not writable ({error.strerror}); give another folder with --workspace"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
