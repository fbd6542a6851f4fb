"""The roster: the class id of every clip. Append-only, so smaller experiments are prefixes of larger ones.

The file keeps the column name `rank` for the class id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ssat.clips.rows import CLIP_COLUMNS, STATUS_SCHEMA, CollectedClip
from ssat.errors import InputError
from ssat.workspace import Workspace, committed

ROSTER_SCHEMA = pa.schema([("rank", pa.int32()), *map(STATUS_SCHEMA.field, CLIP_COLUMNS)])


def load_roster(workspace: Workspace) -> pa.Table:
    """Return the roster, sorted by class id: 0 … n-1, `path` relative to the workspace root.

    Raises:
        InputError: nothing was collected yet, or the file is no roster.
    """
    path = workspace.roster
    if not path.is_file():
        raise InputError(f"{path}: no clips were collected in this workspace; run `ssat collect` first")
    try:
        # Opened once: pyarrow opens a path twice, and a collector may have put a new roster there in between.
        with path.open("rb") as source:
            table = pq.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable roster: {error}") from error
    if table.schema.remove_metadata() != ROSTER_SCHEMA:
        raise InputError(
            f"{path}: not a roster of this version: columns {', '.join(table.schema.names)}; "
            f"expected {', '.join(ROSTER_SCHEMA.names)}"
        )
    if table["rank"].to_pylist() != list(range(table.num_rows)):
        raise InputError(f"{path}: column rank is not 0 … {table.num_rows - 1} in order; the file was changed by hand")
    return table


def roster_facts(table: pa.Table) -> dict[str, str]:
    """Return the settings that class ids depend on (seed, cut of the clips), as stored with the roster."""
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def save_roster(workspace: Workspace, table: pa.Table, facts: Mapping[str, str]) -> None:
    """Commit the roster: readers see the old one or the new one."""
    with committed(workspace.roster) as temporary:
        pq.write_table(table.replace_schema_metadata(dict(facts)), temporary, compression="zstd")


def appended(table: pa.Table, clips: Sequence[CollectedClip]) -> pa.Table:
    """Return the roster with `clips` under the next class ids."""
    if not clips:
        return table
    named = [{"rank": class_id, **clip.columns()} for class_id, clip in enumerate(clips, table.num_rows)]
    added = pa.Table.from_pylist(named, schema=ROSTER_SCHEMA)
    return pa.concat_tables([table.replace_schema_metadata(None), added]).combine_chunks()


def replaced(table: pa.Table, clips: Sequence[CollectedClip]) -> pa.Table:
    """Return the roster with new facts about clips that were collected again, each under its old class id."""
    if not clips:
        return table
    old = table.to_pylist()
    class_ids = {row["clip_id"]: row["rank"] for row in old}
    for clip in clips:
        class_id = class_ids[clip.clip_id]
        old[class_id] = {"rank": class_id, **clip.columns()}
    return pa.Table.from_pylist(old, schema=ROSTER_SCHEMA)


def roster_digest(table: pa.Table) -> str:
    """Return the SHA-256 over class id, clip id and content digest of every clip; equal on any machine."""
    digest = hashlib.sha256()
    columns = (table[name].to_pylist() for name in ("rank", "clip_id", "sha256"))
    for class_id, clip_id, sha256 in zip(*columns, strict=True):
        digest.update(f"{class_id}\t{clip_id}\t{sha256}\n".encode())
    return digest.hexdigest()
