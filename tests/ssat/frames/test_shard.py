import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ssat.frames.build import plan_shards
from ssat.frames.clip import spool_clip
from ssat.frames.schema import FRAME_SCHEMA, ROW_GROUP_ROWS
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob, row_order, write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace, sha256_of

Collect = Callable[[int], pa.Table]


def only_job(workspace: Workspace, roster: pa.Table, **settings: int) -> ShardJob:
    (job,) = plan_shards(workspace, roster, DecodeSettings(**settings))
    return job


def test_threads_and_interruptions_leave_the_bytes_as_they_are(workspace: Workspace, collected: Collect) -> None:
    job = only_job(workspace, collected(5))
    first, _ = write_shard(job, threads=1)
    job.path.unlink()
    job.sidecar.unlink()
    # As if a worker had been killed: two clips done, one half way, one begun.
    job.spool.mkdir(parents=True)
    for clip in job.clips[1:3]:
        spool_clip(clip, job.settings, job.spool)
    (job.spool / "3.jpegs").write_bytes(b"half")
    (job.spool / "3.begun").write_text("0")
    again, _ = write_shard(job, threads=3)
    assert again == first
    assert sha256_of(job.path) == first.sha256
    assert not job.spool.exists()


def test_columns_and_layout_are_as_designed(workspace: Workspace, collected: Collect) -> None:
    job = only_job(workspace, collected(10))
    entry, records = write_shard(job)
    file = pq.ParquetFile(job.path)
    assert file.schema_arrow == FRAME_SCHEMA
    assert (entry.rows, entry.row_groups) == (315, 2)
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [ROW_GROUP_ROWS, 315 - ROW_GROUP_ROWS]
    jpeg = file.metadata.row_group(0).column(6)
    assert jpeg.path_in_schema == "jpeg"
    assert jpeg.compression == "UNCOMPRESSED"
    assert not jpeg.is_stats_set
    assert not any("DICTIONARY" in encoding for encoding in jpeg.encodings)
    assert file.metadata.row_group(0).column(0).is_stats_set
    table = file.read()
    assert table.column("clip_id").to_pylist() == [f"clip{rank}" for rank in table.column("class_id").to_pylist()]
    assert [record.n_frames for record in records] == [45 if rank == 2 else 30 for rank in range(10)]


def test_rows_lie_in_the_seeded_permutation(workspace: Workspace, collected: Collect) -> None:
    roster = collected(4)
    orders = {}
    for seed in (0, 1):
        job = only_job(workspace, roster, seed=seed)
        write_shard(job)
        table = pq.read_table(job.path)
        rows = list(zip(table.column("class_id").to_pylist(), table.column("frame_index").to_pylist(), strict=True))
        orders[seed] = rows
        assert rows == [sorted(rows)[i] for i in row_order(seed, 0, len(rows))]
        ranks = np.array(rows)[:, 0]
        # Contiguous clips would give about 3 changes; a permutation of 4 clips about 3 in 4 rows.
        assert (np.diff(ranks) != 0).mean() > 0.6
    assert orders[0] != orders[1]
    assert not np.array_equal(row_order(0, 0, 100), row_order(0, 1, 100))


def test_a_flipped_byte_breaks_a_page_checksum(workspace: Workspace, collected: Collect) -> None:
    job = only_job(workspace, collected(2))
    write_shard(job)
    content = bytearray(job.path.read_bytes())
    content[len(content) // 2] ^= 1
    job.path.write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(job.path, page_checksum_verification=True)


@pytest.mark.parametrize("damage", ["shard gone", "shard short", "sidecar gone", "sidecar broken", "other key"])
def test_a_shard_is_finished_only_when_it_is_whole(workspace: Workspace, collected: Collect, damage: str) -> None:
    job = only_job(workspace, collected(1))
    assert job.finished() is None
    written = write_shard(job)
    assert job.finished() == written
    if damage == "shard gone":
        job.path.unlink()
    elif damage == "shard short":
        job.path.write_bytes(job.path.read_bytes()[:-1])
    elif damage == "sidecar gone":
        job.sidecar.unlink()
    elif damage == "sidecar broken":
        job.sidecar.write_text("{")
    else:
        content = json.loads(job.sidecar.read_text())
        content["shard"]["key"] = "other"
        job.sidecar.write_text(json.dumps(content))
    assert job.finished() is None


@pytest.mark.real_data
def test_real_clips_come_back(real_store: FrameStore, real_clips: list[Path]) -> None:
    assert real_store.n_clips == len(real_clips)
    assert real_store.frames_of.tolist() == [-(-record // 5) for record in real_store.clips["n_decoded"].to_pylist()]
    per_frame = sum(entry.bytes for entry in real_store.manifest.shards) / real_store.manifest.n_frames
    assert 4_000 < per_frame < 40_000
