"""Work that is done once: its result file is written last, into a folder that the key names, and is read back later."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from ssat.json_values import json_values
from ssat.locks import writing
from ssat.workspace import committed

Result = TypeVar("Result")


def once(
    file: Path,
    load: Callable[[Path], Result],
    work: Callable[[], Result],
    *,
    check: Callable[[], object] = lambda: None,
    lock: str | None = "training",
) -> Result:
    """Return the result in `file` where the work was done before, else that of `work`, which writes the file last.

    Args:
        file: of the result.
        load: reads it.
        work: done in the file's folder by one process at a time.
        check: raises where the work cannot be done; called before the folder is made.
        lock: what the folder holds, for the message where another process is at work in it; None takes no lock.

    Raises:
        WorkspaceError: another process does the same work.
    """
    if file.exists():
        return load(file)
    check()
    with nullcontext() if lock is None else writing(file.parent, lock):
        # Another process may have finished it between the first look and the lock.
        return load(file) if file.exists() else work()


def save_result(result: object, file: Path, *, finite: bool = False) -> None:
    """Commit a result, a dataclass, as JSON; its field `reused` is left out, because it tells of the reading.

    Args:
        finite: write null for a number that does not exist (0/0), instead of NaN.
    """
    values = json_values(result, finite=finite)
    values.pop("reused", None)
    with committed(file) as temporary:
        temporary.write_text(json.dumps(values, indent=1))


def saved_values(file: Path) -> dict[str, Any]:
    """Return the values in a file that `save_result` wrote, and `reused`: the work was done before."""
    return {**json.loads(file.read_text()), "reused": True}
