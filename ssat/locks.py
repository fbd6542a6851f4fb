"""One process at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from ssat.errors import WorkspaceError

# `holder` takes the lock for a moment: acquiring waits that long.
_WAIT_S = 0.3


class FolderLock:
    """An exclusive lock on a folder, kept in a file in it that holds the process id of its owner.

    The lock belongs to the open file: the kernel releases it when the process dies. The file stays. A context manager.

    Args:
        folder: made if it is missing.
        busy: error message where another process holds the lock; {process} stands for its id.
        name: name of the file.
    """

    def __init__(self, folder: Path, busy: str, name: str = ".lock") -> None:
        self._folder = folder
        self._busy = busy
        self._name = name
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            WorkspaceError: the folder is not writable, or another process holds the lock.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / self._name).open("a+")
        except OSError as error:
            raise WorkspaceError(
                f"{self._folder}: not writable ({error.strerror}); give another folder with setting `workspace`"
            ) from error
        try:
            _hold(file)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise WorkspaceError(self._busy.replace("{process}", owner)) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def holder(folder: Path, name: str = ".lock") -> int | None:
    """Return the process id of the owner of a folder's lock; None if it is free, 0 if unknown."""
    try:
        file = (folder / name).open("r")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = file.read().strip()
            return int(text) if text.isdigit() else 0
    return None


@contextmanager
def writing(folder: Path, what: str = "frame store") -> Iterator[None]:
    """Hold the lock of `folder` while `what` is written into it.

    Raises:
        WorkspaceError: another process writes it, or the folder cannot be written, also inside the block.
    """
    busy = f"{folder}: process {{process}} is writing this {what}; wait until it has finished"
    with FolderLock(folder, busy):
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                f"{folder}: writing the {what} stopped: {error.strerror or error}; what is finished is kept. Free "
                "space or correct the access rights, then run the same command again"
            ) from error


def _hold(file: IO[str]) -> None:
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(_WAIT_S / 10)
