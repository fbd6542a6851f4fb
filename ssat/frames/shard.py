"""One shard of the frame store: decode its clips concurrently, permute their frames, write Parquet."""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ssat.errors import WorkspaceError
from ssat.frames.clip import MAX_PIXELS, ClipJob, SpooledClip, count_frames, spool_clip, was_begun
from ssat.frames.encode import tool_versions
from ssat.frames.manifest import ClipRecord, ShardEntry
from ssat.frames.schema import FRAME_SCHEMA, ROW_GROUP_ROWS, frame_writer_options
from ssat.frames.settings import DecodeSettings
from ssat.remote import AnyPath, RemotePath
from ssat.workspace import committed, sha256_of

SPOOL_FOLDER = ".spool"


class ShardJob:
    """Input of a worker that writes one shard: plain data, so that it can be sent to another process."""

    def __init__(
        self,
        index: int,
        key: str,
        clips: Sequence[ClipJob],
        settings: DecodeSettings,
        folder: AnyPath,
        scratch: Path | None = None,
    ) -> None:
        """`scratch`: local folder for what is unfinished; needed where `folder` is in an object store."""
        self.index = index
        self.key = key
        self.clips = list(clips)
        self.settings = settings
        self.folder = folder
        self.scratch = scratch

    @property
    def name(self) -> str:
        """Name of the Parquet file. The key in it lets a grown shard stand beside the one it replaces."""
        return f"shard-{self.index:05d}-{self.key}.parquet"

    @property
    def path(self) -> AnyPath:
        return self.folder / self.name

    @property
    def sidecar(self) -> AnyPath:
        """The shard's own manifest: its entry and its clips. It is written last, so it says that the shard is whole."""
        return self.path.with_suffix(".json")

    @property
    def spool(self) -> Path:
        """Folder of the decoded clips until the shard is written; a retry takes up what it finds there."""
        place = self.scratch or self.folder
        if isinstance(place, RemotePath):
            raise WorkspaceError(f"{place}: a shard in an object store needs a local scratch folder")
        return place / SPOOL_FOLDER / f"{self.index:05d}-{self.key}"

    def finished(self) -> tuple[ShardEntry, list[ClipRecord]] | None:
        """Return the entry and clips of the shard where it is written already, else None."""
        try:
            content = json.loads(self.sidecar.read_text(encoding="utf-8"))
            entry = ShardEntry.model_validate(content["shard"])
            clips = [ClipRecord.model_validate(clip) for clip in content["clips"]]
            whole = entry.key == self.key and self.path.stat().st_size == entry.bytes
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None
        return (entry, clips) if whole and len(clips) == len(self.clips) else None


def write_shard(job: ShardJob, threads: int = 1) -> tuple[ShardEntry, list[ClipRecord]]:
    """Decode the clips of `job` with `threads` threads and commit the shard and its sidecar.

    The bytes follow from the job alone, whatever the number of threads and however often it was interrupted. Memory
    holds a row group, not the shard.
    """
    job.spool.mkdir(parents=True, exist_ok=True)

    # An unfinished clip of an earlier process may have crashed it: each such clip runs first and alone, so that the one
    # that crashes is identified.
    for clip in job.clips:
        if was_begun(clip, job.spool):
            spool_clip(clip, job.settings, job.spool, alone=True)

    def one(clip: ClipJob) -> SpooledClip:
        return spool_clip(clip, job.settings, job.spool)

    # PyAV, libswscale and libjpeg-turbo release the interpreter lock: threads decode concurrently.
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="decode") as pool:
        spooled = list(pool.map(one, job.clips))
    return gather_shard(job, spooled)


def dry_shard(job: ShardJob, threads: int = 1) -> int:
    """Decode and encode the clips of `job`, discard the result, return the number of frames."""
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="decode") as pool:
        return sum(pool.map(lambda clip: count_frames(clip, job.settings), job.clips))


def memory_bytes(threads: int) -> int:
    """Most memory that writing a shard with `threads` threads takes, in bytes.

    The interpreter and its libraries, and for each thread a decoder with the 17 reference frames that H.264 and HEVC
    may keep, of the largest picture that is taken (12 bits a pixel), and the frame in work.
    """
    return (320 << 20) + threads * (20 * MAX_PIXELS * 3 // 2)


def gather_shard(job: ShardJob, spooled: Sequence[SpooledClip]) -> tuple[ShardEntry, list[ClipRecord]]:
    """Write the shard of decoded clips: rows permuted, row groups of 256, sidecar last, spool removed."""
    rows = _permutation(job, spooled)
    spools = [_Spool(clip.jpegs) for clip in spooled]
    names = pa.array([clip.record.clip_id for clip in spooled], pa.string())
    groups = 0
    try:
        with committed(job.path) as temporary:
            with pq.ParquetWriter(temporary, FRAME_SCHEMA, **frame_writer_options()) as writer:
                for start in range(0, len(rows), ROW_GROUP_ROWS):
                    writer.write_table(
                        _table(rows[start : start + ROW_GROUP_ROWS], spooled, spools, names), ROW_GROUP_ROWS
                    )
                    groups += 1
            digest, size = sha256_of(temporary), temporary.stat().st_size
    finally:
        for spool in spools:
            spool.close()
    records = [clip.record for clip in spooled]
    entry = ShardEntry(
        index=job.index,
        path=job.name,
        key=job.key,
        rows=len(rows),
        row_groups=groups,
        bytes=size,
        sha256=digest,
        first_class_id=job.clips[0].class_id,
        last_class_id=job.clips[-1].class_id,
        tools=tool_versions(),
    )
    content = {"shard": entry.model_dump(mode="json"), "clips": [record.model_dump(mode="json") for record in records]}
    with committed(job.sidecar) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    shutil.rmtree(job.spool, ignore_errors=True)
    return entry, records


def row_order(seed: int, index: int, rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Permutation of the rows of shard `index`: stored row i is row `order[i]` by (class_id, frame)."""
    return np.random.Generator(np.random.PCG64([seed, index])).permutation(rows)


def _permutation(job: ShardJob, spooled: Sequence[SpooledClip]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(rows, 2): position of the clip in `spooled` and of the frame in its spool, in the order of the shard."""
    counts = [len(clip.rows) for clip in spooled]
    clip = np.repeat(np.arange(len(counts)), counts)
    frame = np.concatenate([np.arange(count) for count in counts]) if counts else np.empty(0, np.int64)
    order = row_order(job.settings.seed, job.index, len(clip))
    return np.stack([clip, frame], axis=1)[order]


class _Spool:
    """A spool file, mapped: the pages of a JPEG are read when its row group is written."""

    def __init__(self, path: Path) -> None:
        self._map: mmap.mmap | None = None
        if path.stat().st_size:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def jpeg(self, offset: int, size: int) -> bytes:
        return self._map[offset : offset + size] if self._map is not None else b""

    def close(self) -> None:
        if self._map is not None:
            self._map.close()


def _table(
    picks: np.ndarray[tuple[int, int], np.dtype[np.int64]],
    spooled: Sequence[SpooledClip],
    spools: Sequence[_Spool],
    names: pa.Array,
) -> pa.Table:
    rows = np.array([spooled[clip].rows[frame] for clip, frame in picks], spooled[0].rows.dtype)
    class_ids = np.array([spooled[clip].record.class_id for clip in picks[:, 0]], np.int32)
    jpegs = [
        spools[clip].jpeg(int(row["offset"]), int(row["size"])) for (clip, _), row in zip(picks, rows, strict=True)
    ]
    return pa.Table.from_arrays(
        [
            pa.array(class_ids),
            pa.DictionaryArray.from_arrays(pa.array(picks[:, 0], pa.int32()), names),
            pa.array(np.ascontiguousarray(rows["frame_index"])),
            pa.array(np.ascontiguousarray(rows["pts_us"])),
            pa.array(np.ascontiguousarray(rows["width"])),
            pa.array(np.ascontiguousarray(rows["height"])),
            pa.array(jpegs, pa.binary()),
        ],
        schema=FRAME_SCHEMA,
    )
