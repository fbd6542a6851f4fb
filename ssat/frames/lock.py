"""One writer at a time in a frame store, or in another folder of results."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssat.errors import WorkspaceError


@contextmanager
def writing(folder: Path, what: str = "frame store") -> Iterator[None]:
    """Hold the `what` in `folder` for writing; the lock ends with this context or with the process.

    Raises:
        WorkspaceError: another process writes it, or the folder cannot be written, also inside the block.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
    except OSError as error:
        raise WorkspaceError(
            f"{folder}: not writable ({error.strerror}); give another folder with setting `workspace`"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise WorkspaceError(
                f"{folder}: process {owner} is writing this {what}; wait until it has finished"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"{folder}: decoding stopped: {error.strerror or error}; what is finished is kept, run `ssat decode` "
                "again when it is put right"
            ) from error
