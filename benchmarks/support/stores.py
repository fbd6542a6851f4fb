"""Frame stores to measure on."""

from __future__ import annotations

from pathlib import Path

from ssat.frames.build import commit_store
from ssat.frames.clip import ClipJob
from ssat.frames.manifest import ClipRecord, ShardEntry
from ssat.frames.schema import ROW_GROUP_ROWS
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob, write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import sha256_of


def store_of(folder: Path, clips: list[Path], stride: int) -> FrameStore:
    """Every `stride`-th frame of real clips, decoded as `ssat decode` does."""
    settings = DecodeSettings(frame_stride=stride)
    jobs = [ClipJob(class_id, path.stem, path, sha256_of(path), 0) for class_id, path in enumerate(clips)]
    commit_store(folder, settings, "benchmark", [write_shard(ShardJob(0, "real", jobs, settings, folder))])
    return FrameStore.open(folder)


def dummy_shard(job: ShardJob, frames: int) -> tuple[ShardEntry, list[ClipRecord]]:
    """What the manifest would say of a shard whose clips have `frames` frames each; nothing is decoded or written."""
    rows = frames * len(job.clips)
    entry = ShardEntry(
        index=job.index,
        path=job.name,
        key=job.key,
        rows=rows,
        row_groups=-(-rows // ROW_GROUP_ROWS),
        bytes=0,
        sha256="0" * 64,
        first_class_id=job.clips[0].class_id,
        last_class_id=job.clips[-1].class_id,
    )
    return entry, [
        ClipRecord(class_id=clip.class_id, clip_id=clip.clip_id, status="ok", n_frames=frames) for clip in job.clips
    ]
