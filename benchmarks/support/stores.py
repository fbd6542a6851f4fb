"""Frame stores to measure on."""

from __future__ import annotations

from pathlib import Path

from ssat.frames.build import commit_store
from ssat.frames.clip import ClipJob
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob, write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import sha256_of


def store_of(folder: Path, clips: list[Path], stride: int) -> FrameStore:
    """Every `stride`-th frame of real clips, decoded as `ssat decode` does."""
    settings = DecodeSettings(frame_stride=stride)
    jobs = [ClipJob(rank, path.stem, path, sha256_of(path), 0) for rank, path in enumerate(clips)]
    commit_store(folder, settings, "benchmark", [write_shard(ShardJob(0, "real", jobs, settings, folder))])
    return FrameStore.open(folder)
