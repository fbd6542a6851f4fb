"""From the roster to a finished store: which shards are wanted, and the manifest over those that are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from ssat.errors import InputError
from ssat.frames.clip import ClipJob
from ssat.frames.encode import encoder_facts
from ssat.frames.manifest import ClipRecord, Manifest, ShardEntry, shard_key
from ssat.frames.schema import CLIPS_NAME, CLIPS_SCHEMA
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import SPOOL_FOLDER, ShardJob
from ssat.frames.store import clips_bytes
from ssat.remote import AnyPath
from ssat.workspace import Workspace, committed, sha256_of

FinishedShard = tuple[ShardEntry, list[ClipRecord]]


def plan_shards(workspace: Workspace, roster: pa.Table, settings: DecodeSettings) -> list[ShardJob]:
    """Return the shards that the roster makes, finished or not, in order of class id.

    Raises:
        InputError: an empty roster.
        WorkspaceError: a clip's path leads out of the workspace.
    """
    rows = roster.select(["rank", "clip_id", "path", "sha256", "n_frames"]).to_pylist()
    if not rows:
        raise InputError("the roster is empty: no clip was collected; run `ssat collect` with a list that has some")
    by_shard: dict[int, list[dict[str, object]]] = {}
    paths = workspace.located([str(row["path"]) for row in rows])
    for row in rows:
        by_shard.setdefault(row["rank"] // settings.shard_clips, []).append(row)
    jobs = []
    for index, members in sorted(by_shard.items()):
        clips = [
            ClipJob(
                class_id=row["rank"],  # type: ignore[arg-type]
                clip_id=row["clip_id"],  # type: ignore[arg-type]
                path=paths[int(str(row["rank"]))],
                sha256=row["sha256"],  # type: ignore[arg-type]
                n_frames=row["n_frames"],  # type: ignore[arg-type]
            )
            for row in members
        ]
        jobs.append(
            ShardJob(
                index, shard_key(settings.content(), members), clips, settings, workspace.frames, workspace.scratch
            )
        )
    return jobs


def missing_shards(jobs: Sequence[ShardJob]) -> list[ShardJob]:
    """Return those of `jobs` that are not written, or lack a clip that can be read by now."""
    missing = []
    for job in jobs:
        finished = job.finished()
        if finished is None:
            missing.append(job)
            continue
        again = {record.class_id for record in finished[1] if record.recoverable}
        if any(clip.class_id in again and is_whole(clip) for clip in job.clips):
            missing.append(job)
    return missing


def is_whole(clip: ClipJob) -> bool:
    """Return whether the clip's file is there and is the one that the roster names."""
    return clip.path.is_file() and sha256_of(clip.path) == clip.sha256


def commit_store(
    folder: AnyPath, settings: DecodeSettings, roster_digest: str, shards: Sequence[FinishedShard]
) -> Manifest:
    """Write clips.parquet and, last, the manifest; then remove what no longer belongs to the store."""
    table = _clip_table(shards)
    with committed(folder / CLIPS_NAME) as temporary:
        temporary.write_bytes(clips_bytes(table))
    entries = tuple(entry for entry, _ in shards)
    manifest = Manifest(
        settings=settings.content(),
        encoder=encoder_facts(settings.quality, settings.short_side),
        roster_digest=roster_digest,
        n_clips=sum(record.status == "ok" for _, records in shards for record in records),
        n_frames=sum(entry.rows for entry in entries),
        clips_sha256=sha256_of(folder / CLIPS_NAME),
        shards=entries,
    )
    manifest.save(folder)
    _remove_leftovers(folder, manifest)
    return manifest


def _clip_table(shards: Sequence[FinishedShard]) -> pa.Table:
    rows = [
        {**record.model_dump(exclude={"recoverable"}), "shard": entry.index}
        for entry, records in shards
        for record in records
    ]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["rank"]), schema=CLIPS_SCHEMA)


def _remove_leftovers(folder: AnyPath, manifest: Manifest) -> None:
    """Remove shards that the manifest does not name: replaced by grown ones, or written with other settings."""
    named = {entry.path for entry in manifest.shards}
    for path in [*folder.glob("shard-*.parquet"), *folder.glob("shard-*.json")]:
        if path.with_suffix(".parquet").name not in named:
            path.unlink(missing_ok=True)
    if isinstance(folder, Path) and (spool := folder / SPOOL_FOLDER).is_dir() and not any(spool.iterdir()):
        spool.rmdir()
