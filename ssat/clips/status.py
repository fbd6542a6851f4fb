"""The clip status table: the outcome of every attempt at every clip, safe against a collector that is killed."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ssat.clips.rows import STATUS_SCHEMA, StatusRow
from ssat.errors import WorkspaceError
from ssat.workspace import Workspace, committed

# States of a clip.
OK = "ok"  # trimmed and on disk
FAILED = "failed"  # will be tried again
WAITING = "waiting"  # failed through no fault of its own; will be tried again, and the clip keeps its turn
DEAD = "dead"  # given up; tried again when asked (dead letter)
GONE = "gone"  # the video does not exist any more; never tried again (tombstone)

# More parts than this are merged into one.
_MAX_PARTS = 32
_READS = 20
_MAX_EXAMPLES = 3


def _folder(workspace: Workspace) -> Path:
    return workspace.clips / "status"


class StatusLog:
    """Log of status rows: each is on disk when `append` returns, and in Parquet after `commit`.

    A row goes to a journal first (one JSON line, synced). What a killed collector left there is found by the next one,
    a torn last line is dropped. One log at a time may be open on a workspace; the collector's lock sees to it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folder = _folder(workspace)
        self._journal = self._folder / "journal.jsonl"
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.commit()
        except OSError as error:
            raise WorkspaceError(f"{self._folder}: not writable ({error.strerror})") from error

    def append(self, row: StatusRow) -> None:
        """Make one row durable."""
        line = row.line().encode()
        with self._lock:
            if self._file is None:
                self._file = self._journal.open("ab", buffering=0)
            whole = self._file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[self._file.write(line) :]
                os.fsync(self._file.fileno())
            except OSError:
                # A full disk accepts part of a line, and the next row would be appended to it and lost.
                with contextlib.suppress(OSError):
                    self._file.truncate(whole)
                raise

    def commit(self) -> None:
        """Move the journal's rows into a Parquet part, and merge parts when there are many."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            rows = _read_journal(self._journal)
            parts = sorted(self._folder.glob("part-*.parquet"))
            tables = [_table(rows)] if rows else []
            merged = parts if len(parts) >= _MAX_PARTS else []
            tables = [pq.read_table(part, schema=STATUS_SCHEMA) for part in merged] + tables
            if tables:
                number = 1 + max((int(part.stem.removeprefix("part-")) for part in parts), default=0)
                # If killed before the journal or the merged parts are removed, a row exists twice: readers drop
                # duplicates, so with this order of steps no row is lost or repeated.
                with committed(self._folder / f"part-{number:08d}.parquet") as temporary:
                    pq.write_table(_without_doubles(pa.concat_tables(tables)), temporary, compression="zstd")
            for part in merged:
                part.unlink()
            self._journal.unlink(missing_ok=True)


def load_status(workspace: Workspace) -> pa.Table:
    """Return every row of every attempt in the order in which they were written; empty if nothing was collected yet.

    The order is that of the files, not of `started_at`: a clock may be set back. Right also while another process
    collects.

    Raises:
        WorkspaceError: a part cannot be read.
    """
    folder = _folder(workspace)
    for _ in range(_READS):
        # Read the journal first: rows that move into a part meanwhile are then read twice, not lost.
        journal = _read_journal(folder / "journal.jsonl")
        tables = []
        try:
            for part in sorted(folder.glob("part-*.parquet")):
                tables.append(pq.read_table(part, schema=STATUS_SCHEMA))
        except FileNotFoundError:
            continue  # merged into another part while it was read: begin again
        except (OSError, pa.ArrowException) as error:
            raise WorkspaceError(
                f"{part}: not a readable part of the status table ({error}); remove it to collect its clips again"
            ) from error
        if journal:
            tables.append(_table(journal))
        return _without_doubles(pa.concat_tables(tables)) if tables else STATUS_SCHEMA.empty_table()
    raise WorkspaceError(f"{folder}: changes faster than it can be read; try again")


def latest(status: pa.Table) -> pa.Table:
    """Return the latest row of each clip: the truth about it. `status` as `load_status` gives it."""
    if not status.num_rows:
        return status
    numbered = status.append_column("_row", pa.array(range(status.num_rows), pa.int64()))
    rows = numbered.group_by("clip_id").aggregate([("_row", "max")])["_row_max"]
    return status.take(rows.combine_chunks().sort())


def now() -> datetime:
    """Return the current time in the format of `started_at`."""
    return datetime.now(UTC)


def outcome_name(state: str, error_class: str | None) -> str:
    """Return how a latest row is counted: `ok`, `waiting` when it will be tried again, else its error class."""
    return state if state == OK else WAITING if state in (FAILED, WAITING) else str(error_class)


def counts_by_class(status: pa.Table) -> dict[str, int]:
    """Return the number of clips by outcome, `ok` first. `status` as `load_status` gives it."""
    current = latest(status)
    pairs = zip(current["status"].to_pylist(), current["error_class"].to_pylist(), strict=True)
    return counted(pairs)


def counted(outcomes: Iterable[tuple[str, str | None]]) -> dict[str, int]:
    """Return how often each outcome occurs among (status, error class), `ok` first."""
    counts = Counter(outcome_name(state, error_class) for state, error_class in outcomes)
    return dict(sorted(counts.items(), key=lambda item: (item[0] != OK, item[0])))


@dataclass(frozen=True)
class FailureReason:
    """Clips that failed alike, or lost pictures alike.

    Attributes:
        outcome: as they are counted: the error class, or "waiting" where they will be tried again.
        error_class: class of the last attempt.
        message: message of the last attempt; "…" stands for the clip id.
        clips: how many.
        examples: ids of the first of them.
    """

    outcome: str
    error_class: str
    message: str
    clips: int
    examples: tuple[str, ...]


def failure_reasons(status: pa.Table) -> list[FailureReason]:
    """Return why clips failed or lost pictures (outcome "ok"), most frequent first. `status`: of `load_status`."""
    current = latest(status)
    columns = (current[name].to_pylist() for name in ("clip_id", "status", "error_class", "error_message"))
    groups: dict[tuple[str, str, str], list[str]] = {}
    for clip_id, state, error_class, message in zip(*columns, strict=True):
        if state != OK or message:
            shown = _without_id(str(message or ""), clip_id) or "no message was recorded"
            key = (outcome_name(state, error_class), str(error_class or ""), shown)
            groups.setdefault(key, []).append(clip_id)
    reasons = [FailureReason(*key, len(clips), tuple(clips[:_MAX_EXAMPLES])) for key, clips in groups.items()]
    return sorted(reasons, key=lambda reason: (-reason.clips, reason.outcome, reason.message))


def _without_id(message: str, clip_id: str) -> str:
    """`message` with "…" for the clip id, where it stands alone. Without a pattern: there may be very many ids."""
    at = message.find(clip_id) if clip_id else -1
    while at >= 0:
        end = at + len(clip_id)
        around = message[max(0, at - 1) : at] + message[end : end + 1]
        if not any(sign.isalnum() or sign in "_-" for sign in around):
            message, end = f"{message[:at]}…{message[end:]}", at + 1
        at = message.find(clip_id, end)
    return message


def _table(rows: list[StatusRow]) -> pa.Table:
    return pa.Table.from_pylist([row.columns() for row in rows], schema=STATUS_SCHEMA)


def _without_doubles(table: pa.Table) -> pa.Table:
    """Return one row per clip, attempt and start; a row may be stored twice after an interruption."""
    keys = ["clip_id", "attempt", "started_at"]
    numbered = table.select(keys).append_column("_row", pa.array(range(table.num_rows), pa.int64()))
    rows = numbered.group_by(keys).aggregate([("_row", "min")])["_row_min"]
    return table if len(rows) == table.num_rows else table.take(rows.combine_chunks().sort())


def _read_journal(path: Path) -> list[StatusRow]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    rows = []
    for line in text.split("\n"):
        # A line that was being written when the collector was killed does not parse.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            rows.append(StatusRow.parse(line))
    return rows
