"""The state of every candidate, from earlier runs and the current one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ssat.clips import status as st
from ssat.clips.failures import FailureClass
from ssat.clips.lists import Candidate
from ssat.clips.rows import CLIP_COLUMNS, CollectedClip, StatusRow
from ssat.errors import InputError
from ssat.workspace import Workspace

_SETTLED = frozenset({st.OK, st.DEAD, st.GONE})


class History:
    """The latest row of each clip, and which clips have to be tried once more in spite of it.

    Rows of earlier runs stay in an Arrow table, since there may be very many; what decides about a clip is in memory.

    Args:
        workspace: where the clips lie; a file that is missing or has another size is collected again.
        tool: the downloader's version; clips that failed because of another one are tried again. Empty: local files.
        retry_dead: whether clips that were given up are tried again.

    Raises:
        InputError: a local file stands where the workspace has a clip of the same name from another file.
    """

    def __init__(self, workspace: Workspace, candidates: Iterable[Candidate], *, tool: str, retry_dead: bool) -> None:
        self._table = st.latest(st.load_status(workspace))
        self._at = {clip_id: row for row, clip_id in enumerate(self._table["clip_id"].to_pylist())}
        # Few distinct strings for very many clips: share the objects.
        words: dict[str | None, str | None] = {}
        self._states, self._errors = (
            [words.setdefault(word, word) for word in self._table[name].to_pylist()]
            for name in ("status", "error_class")
        )
        self._attempts = self._table["attempt"].to_numpy()
        self._new: dict[str, StatusRow] = {}
        self._again: set[str] = set()
        listed = [(candidate, self._at[candidate.clip_id]) for candidate in candidates if candidate.clip_id in self._at]
        self._again.update(self._choose_dead(listed, tool, retry_dead))
        self._again.update(self._choose_lost(workspace, listed, local=not tool))

    def _choose_dead(self, listed: Sequence[tuple[Candidate, int]], tool: str, retry_dead: bool) -> Iterable[str]:
        tools = self._table["tool_version"]
        for candidate, row in listed:
            if self._states[row] == st.DEAD and (
                retry_dead
                # Another version of the tool may succeed.
                or (self._errors[row] == FailureClass.TOOL and tools[row].as_py() != tool)
            ):
                yield candidate.clip_id

    def _choose_lost(self, workspace: Workspace, listed: Sequence[tuple[Candidate, int]], local: bool) -> Iterable[str]:
        collected = [(candidate, row) for candidate, row in listed if self._states[row] == st.OK]
        rows = self._table.select(["path", "bytes", "source"]).take(pa.array([row for _, row in collected], pa.int64()))
        sources = rows["source"].to_pylist() if local else []
        sizes = rows["bytes"].to_pylist()
        files = workspace.absolute_files(rows["path"].to_pylist())
        for number, ((candidate, _), file) in enumerate(zip(collected, files, strict=True)):
            if not _has_size(file, sizes[number]):
                yield candidate.clip_id
            elif local:
                _check_same_file(sources[number], candidate)

    def note(self, row: StatusRow) -> None:
        """Record a new latest row of its clip."""
        self._new[row.clip_id] = row
        self._again.discard(row.clip_id)

    def _state(self, clip_id: str) -> tuple[str, str | None] | None:
        """Return status and error class of a clip; None if it was never tried."""
        new = self._new.get(clip_id)
        if new is not None:
            return new.status, new.error_class
        row = self._at.get(clip_id)
        return None if row is None else (str(self._states[row]), self._errors[row])

    def on_disk(self) -> tuple[int, int]:
        """Return number and bytes of the clips that earlier runs collected."""
        sizes = self._table["bytes"].filter(pc.equal(self._table["status"], st.OK))
        return len(sizes), pc.sum(sizes).as_py() or 0

    def attempts(self, clip_id: str) -> int:
        """Return how many attempts at a clip have been made."""
        new = self._new.get(clip_id)
        if new is not None:
            return new.attempt
        row = self._at.get(clip_id)
        return 0 if row is None else int(self._attempts[row])

    def is_collected(self, clip_id: str) -> bool:
        """Return whether a clip is on disk."""
        state = self._state(clip_id)
        return state is not None and state[0] == st.OK and clip_id not in self._again

    def row(self, clip_id: str) -> StatusRow:
        """Return the latest row of a clip that was tried."""
        new = self._new.get(clip_id)
        return new if new is not None else StatusRow.of(self._table.slice(self._at[clip_id], 1).to_pylist()[0])

    def clips(self, clip_ids: Sequence[str]) -> list[CollectedClip]:
        """Return the facts about clips that were collected, in their order."""
        old = [clip_id for clip_id in clip_ids if clip_id not in self._new]
        numbers = pa.array([self._at[clip_id] for clip_id in old], pa.int64())
        rows = self._table.select(CLIP_COLUMNS).take(numbers).to_pylist()
        found = {row["clip_id"]: CollectedClip(**row) for row in rows}
        return [
            found[clip_id] if (new := self._new.get(clip_id)) is None else CollectedClip.of(new) for clip_id in clip_ids
        ]

    def settled(self, clip_id: str) -> bool:
        """Return whether a clip is collected or given up: nothing is to do about it."""
        state = self._state(clip_id)
        return state is not None and clip_id not in self._again and state[0] in _SETTLED

    def counts(self, clip_ids: Iterable[str]) -> dict[str, int]:
        """Return how many of these clips have which outcome; those never tried are not counted."""
        return st.counted(state for clip_id in clip_ids if (state := self._state(clip_id)) is not None)


def _has_size(file: str, size: int) -> bool:
    try:
        return os.stat(file).st_size == size  # noqa: PTH116 - half a million of them
    except OSError:
        return False


def _check_same_file(source: str, candidate: Candidate) -> None:
    """Two folders may both have a 0001.mp4. A folder that was merely moved is fine: its old path is gone."""
    old, new = Path(source), Path(candidate.locator)
    if source != candidate.locator and old.is_file() and not old.samefile(new):
        raise InputError(
            f"clip {candidate.clip_id}: this workspace has it from {old}, and {new} is another file of that name; "
            "rename the file, or use another workspace"
        )
