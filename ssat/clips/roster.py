"""The roster: which clip has which rank. Rank = class; append-only, so smaller experiments are prefixes of larger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ssat.clips.rows import CollectedClip
from ssat.errors import InputError
from ssat.remote import AnyPath
from ssat.workspace import Workspace, committed

ROSTER_SCHEMA = pa.schema(
    [
        ("rank", pa.int32()),
        ("clip_id", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("n_frames", pa.int32()),
        ("duration_s", pa.float64()),
        ("bytes", pa.int64()),
    ]
)


def roster_path(workspace: Workspace) -> AnyPath:
    """Where the roster lies."""
    return workspace.roster


def load_roster(workspace: Workspace) -> pa.Table:
    """The roster, sorted by rank: ranks 0 … n-1, `path` relative to the workspace root.

    Raises:
        InputError: nothing was collected yet, or the file is no roster.
    """
    path = roster_path(workspace)
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
        raise InputError(f"{path}: ranks are not 0 … {table.num_rows - 1} in order; the file was changed by hand")
    return table


def roster_facts(table: pa.Table) -> dict[str, str]:
    """What the ranks depend on beside the list (seed, cut of the clips), as it was written with the roster."""
    return {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}


def save_roster(workspace: Workspace, table: pa.Table, facts: Mapping[str, str]) -> None:
    """Commit the roster: readers see the old one or the new one."""
    with committed(roster_path(workspace)) as temporary:
        pq.write_table(table.replace_schema_metadata(dict(facts)), temporary, compression="zstd")


def appended(table: pa.Table, clips: Sequence[CollectedClip]) -> pa.Table:
    """The roster with `clips` under the next ranks."""
    if not clips:
        return table
    named = [{"rank": rank, **clip.columns()} for rank, clip in enumerate(clips, table.num_rows)]
    added = pa.Table.from_pylist(named, schema=ROSTER_SCHEMA)
    return pa.concat_tables([table.replace_schema_metadata(None), added]).combine_chunks()


def replaced(table: pa.Table, clips: Sequence[CollectedClip]) -> pa.Table:
    """The roster with new facts about clips that were collected again, each under its old rank."""
    if not clips:
        return table
    old = table.to_pylist()
    ranks = {row["clip_id"]: row["rank"] for row in old}
    for clip in clips:
        rank = ranks[clip.clip_id]
        old[rank] = {"rank": rank, **clip.columns()}
    return pa.Table.from_pylist(old, schema=ROSTER_SCHEMA)


def roster_digest(table: pa.Table) -> str:
    """SHA-256 over rank, clip id and content digest of every clip: equal rosters, equal digest, on any machine."""
    digest = hashlib.sha256()
    columns = (table[name].to_pylist() for name in ("rank", "clip_id", "sha256"))
    for rank, clip_id, sha256 in zip(*columns, strict=True):
        digest.update(f"{rank}\t{clip_id}\t{sha256}\n".encode())
    return digest.hexdigest()
