"""Record of the tar archives that were read to their end, and the clips that each holds; resuming uses it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ssat.redaction import without_credentials
from ssat.workspace import committed


class Refused:
    """Members of an archive that were refused, by reason, with an example of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one more member."""
        self.counts[reason] += 1
        self._examples.setdefault(reason, name[:80])

    def words(self) -> str:
        """Return all reasons in one line; empty when nothing was refused."""
        return "; ".join(
            f"{count} member{'s' * (count > 1)} refused: {reason} ({self._examples[reason]!r})"
            for reason, count in self.counts.items()
        )


class ArchiveIndex:
    """One small Parquet file for each archive that was read: the ids of its clips. Written when its end was reached.

    A local archive that changed since counts as not read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: dict[str, frozenset[str] | None] = {}
        self.refused: dict[str, str] = {}

    def members(self, archive: str) -> frozenset[str] | None:
        """Return ids of the clips in `archive`; None if it was not read to its end."""
        if archive not in self._members:
            self._members[archive] = self._load(archive)
        return self._members[archive]

    def mark_read(self, archive: str, clip_ids: Collection[str], refused: Refused) -> None:
        """Note that `archive` was read to its end and holds these clips."""
        facts = {"archive": without_credentials(archive), "state": _state(archive), "refused": refused.words()}
        table = pa.table({"clip_id": pa.array(sorted(clip_ids), pa.string())}).replace_schema_metadata(facts)
        with committed(self._path(archive)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        self._members[archive] = frozenset(clip_ids)
        if refused.counts:
            self.refused[archive] = refused.words()

    def _load(self, archive: str) -> frozenset[str] | None:
        try:
            table = pq.read_table(self._path(archive))
            facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        except (OSError, pa.ArrowException, UnicodeDecodeError):
            return None  # never read, or its index was damaged: it is read again
        if facts.get("state") != _state(archive) or table.schema.names != ["clip_id"]:
            return None
        if facts.get("refused"):
            self.refused[archive] = facts["refused"]
        return frozenset(table["clip_id"].to_pylist())

    def _path(self, archive: str) -> Path:
        return self._folder / f"{hashlib.sha256(archive.encode()).hexdigest()[:20]}.parquet"


def _state(archive: str) -> str:
    """Return a state that changes with a local archive; archives on the web count as unchanged."""
    try:
        facts = Path(archive).stat()
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_mtime_ns}"
