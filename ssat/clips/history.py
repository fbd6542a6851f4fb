"""What earlier runs, and this one so far, know about each candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ssat.clips import status as st
from ssat.clips.failures import FailureClass
from ssat.clips.lists import Candidate
from ssat.errors import InputError, WorkspaceError
from ssat.workspace import Workspace

_DECIDING = ["clip_id", "attempt", "status", "error_class", "tool_version"]


class History:
    """The latest row of each clip, and which clips have to be tried once more in spite of it.

    Args:
        workspace: where the clips lie; a file that is missing or has another size is collected again.
        tool: the downloader's version; clips that failed because of another one are tried again. Empty: local files.
        retry_dead: whether clips that were given up are tried again.

    Raises:
        InputError: a local file stands where the workspace has a clip of the same name from another file.
    """

    def __init__(self, workspace: Workspace, candidates: Iterable[Candidate], *, tool: str, retry_dead: bool) -> None:
        self._workspace = workspace
        self._latest = _latest_rows(st.load_status(workspace))
        self._again = set(self._choose_again(candidates, tool, retry_dead))

    def _choose_again(self, candidates: Iterable[Candidate], tool: str, retry_dead: bool) -> Iterable[str]:
        for candidate in candidates:
            row = self._latest.get(candidate.clip_id)
            if row is None:
                continue
            if row["status"] == st.OK:
                if not self._intact(row):
                    yield candidate.clip_id
                elif not tool:
                    _check_same_file(row, candidate)
            elif row["status"] == st.DEAD and (
                retry_dead
                # Another version of the tool may well do what the last one could not.
                or (row["error_class"] == FailureClass.TOOL and row["tool_version"] != tool)
            ):
                yield candidate.clip_id

    def _intact(self, row: Mapping[str, Any]) -> bool:
        try:
            return bool(self._workspace.absolute(row["path"]).stat().st_size == row["bytes"])
        except (OSError, WorkspaceError):
            return False

    def note(self, row: dict[str, Any]) -> None:
        """A new latest row of its clip."""
        self._latest[row["clip_id"]] = row
        self._again.discard(row["clip_id"])

    def on_disk(self) -> tuple[int, int]:
        """Number and bytes of the clips that were collected."""
        sizes = [row["bytes"] for row in self._latest.values() if row["status"] == st.OK]
        return len(sizes), sum(sizes)

    def attempts(self, clip_id: str) -> int:
        """How many attempts at a clip have been made."""
        row = self._latest.get(clip_id)
        return row["attempt"] if row else 0

    def collected(self, clip_id: str) -> dict[str, Any] | None:
        """The row of a clip that is on disk; None where it is not."""
        row = self._latest.get(clip_id)
        return row if row and row["status"] == st.OK and clip_id not in self._again else None

    def settled(self, clip_id: str) -> bool:
        """Whether a clip is collected or given up: nothing is to do about it."""
        row = self._latest.get(clip_id)
        return row is not None and clip_id not in self._again and str(row["status"]) in (st.OK, st.DEAD, st.GONE)

    def counts(self, clip_ids: Iterable[str]) -> dict[str, int]:
        """How many of these clips have which outcome; those never tried are not counted."""
        rows = (self._latest[clip_id] for clip_id in clip_ids if clip_id in self._latest)
        return st.counted((row["status"], row["error_class"]) for row in rows)


def _check_same_file(row: dict[str, Any], candidate: Candidate) -> None:
    """Two folders may both have a 0001.mp4. A folder that was merely moved is fine: its old path is gone."""
    old, new = Path(row["source"]), Path(candidate.locator)
    if row["source"] != candidate.locator and old.is_file() and not old.samefile(new):
        raise InputError(
            f"clip {candidate.clip_id}: this workspace has it from {old}, and {new} is another file of that name; "
            "rename the file, or use another workspace"
        )


def _latest_rows(status: pa.Table) -> dict[str, dict[str, Any]]:
    """Clip id → latest row; of clips that were not collected only what decides about them, for there may be many."""
    current = st.latest(status)
    collected = pc.equal(current["status"], st.OK)
    others = current.filter(pc.invert(collected)).select(_DECIDING)
    return {row["clip_id"]: row for table in (current.filter(collected), others) for row in table.to_pylist()}
