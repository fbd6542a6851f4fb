"""A frame store, opened: its manifest, its clips, and the frames of its shards."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.manifest import Manifest, ShardEntry
from ssat.frames.schema import CLIPS_NAME, FRAME_SCHEMA
from ssat.remote import AnyPath, location, readable


@dataclass(frozen=True)
class RowGroup:
    """Facts of the rows of one row group, without their JPEGs: (rows,) arrays."""

    class_id: NDArray[np.int32]
    frame_index: NDArray[np.int16]
    pts_us: NDArray[np.int64]


class ShardReader:
    """Reader of the row groups of one shard through a memory map."""

    def __init__(self, path: AnyPath, entry: ShardEntry, verify_checksums: bool = False) -> None:
        """Open `path`.

        Raises:
            InputError: missing, of another length than the manifest says, not Parquet, or with other columns.
        """
        self.path = path
        self.entry = entry
        self._facts_file: pq.ParquetFile | None = None
        advice = "run the stage verify with setting `repair`"
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise InputError(f"{path}: the shard is missing; {advice}") from error
        if size != entry.bytes:
            raise InputError(f"{path}: {size} bytes, the manifest says {entry.bytes}: truncated or changed; {advice}")
        try:
            self._file = pq.ParquetFile(
                readable(path), memory_map=isinstance(path, Path), page_checksum_verification=verify_checksums
            )
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: not a readable Parquet file ({error}); {advice}") from error
        if not self._file.schema_arrow.equals(FRAME_SCHEMA):
            raise InputError(f"{path}: its columns are not those of a frame store; {advice}")
        metadata = self._file.metadata
        if metadata.num_rows != entry.rows or metadata.num_row_groups != entry.row_groups:
            raise InputError(
                f"{path}: {metadata.num_rows} rows in {metadata.num_row_groups} row groups, the manifest says "
                f"{entry.rows} in {entry.row_groups}; {advice}"
            )

    def facts(self, group: int) -> RowGroup:
        """Return class, frame and time of each row of row group `group`.

        Their checksums are always verified: a flipped bit there is a wrong label, and nothing else would tell. One in a
        JPEG is found when it is decoded, and row by row.
        """
        if self._facts_file is None:
            self._facts_file = pq.ParquetFile(
                readable(self.path),
                metadata=self._file.metadata,
                memory_map=isinstance(self.path, Path),
                page_checksum_verification=True,
            )
        table = self._read(group, ["class_id", "frame_index", "pts_us"], self._facts_file)
        class_id, frame_index, pts_us = (column.to_numpy() for column in table.columns)
        return RowGroup(class_id, frame_index, pts_us)

    def jpegs(self, group: int) -> pa.Array:
        """Return the JPEGs of row group `group`: a binary array; `.as_buffer()` of an element copies nothing."""
        return self._read(group, ["jpeg"]).column(0).combine_chunks()

    def table(self, group: int) -> pa.Table:
        """Return all columns of row group `group`."""
        return self._read(group, None)

    def _read(self, group: int, columns: list[str] | None, file: pq.ParquetFile | None = None) -> pa.Table:
        try:
            return (file or self._file).read_row_group(group, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{self.path}: row group {group} cannot be read ({error}); run the stage verify with setting `repair`"
            ) from error

    def close(self) -> None:
        """Release the memory map."""
        for file in (self._file, self._facts_file):
            if file is not None:
                file.close(force=True)


class FrameStore:
    """A finished frame store. Reads only; safe to open in many processes at once."""

    def __init__(self, folder: AnyPath, manifest: Manifest, clips: pa.Table) -> None:
        self.folder = folder
        self.manifest = manifest
        self.clips = clips
        self._readers: dict[int, ShardReader] = {}

    @classmethod
    def open(cls, folder: str | AnyPath) -> Self:
        """Return the store in `folder`, which may be an s3:// address.

        Raises:
            InputError: no store, a damaged or newer manifest, or a clip table that does not belong to it. Shards are
                checked when they are read first.
        """
        folder = location(folder)
        manifest = Manifest.load(folder)
        path = folder / CLIPS_NAME
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); run `ssat decode` again") from error
        if hashlib.sha256(content).hexdigest() != manifest.clips_sha256:
            raise InputError(
                f"{path}: does not belong to the manifest beside it (an interrupted decode, or it was changed); run "
                "`ssat decode` again"
            )
        return cls(folder, manifest, pq.read_table(pa.BufferReader(content)))

    @property
    def digest(self) -> str:
        """The manifest's digest: names this data set where a training is recorded."""
        return self.manifest.digest

    @property
    def n_clips(self) -> int:
        """Clips that have frames in the store."""
        return self.manifest.n_clips

    @functools.cached_property
    def frames_of(self) -> NDArray[np.int64]:
        """(largest class id + 1,) number of stored frames by class id; 0 if the clip failed."""
        class_ids = self.clips.column("rank").to_numpy()
        counts = np.zeros(int(class_ids.max()) + 1 if len(class_ids) else 0, np.int64)
        counts[class_ids] = self.clips.column("n_frames").to_numpy()
        return counts

    @property
    def class_ids(self) -> NDArray[np.int64]:
        """Class ids of the clips that have frames, ascending."""
        return np.flatnonzero(self.frames_of)

    @property
    def frame_stride(self) -> int:
        """Stored frames of a clip are frames 0, stride, 2 · stride … of it."""
        return int(self.manifest.settings.get("frame_stride") or 1)

    def reader(self, shard: int) -> ShardReader:
        """Return the opened shard at position `shard` of the manifest."""
        if shard not in self._readers:
            entry = self.manifest.shards[shard]
            self._readers[shard] = ShardReader(self.folder / entry.path, entry)
        return self._readers[shard]

    def read_frames(self, class_id: int, frame_indices: Sequence[int] | None = None) -> list[tuple[int, bytes]]:
        """Return (frame_index, JPEG) of the clip `class_id`, in order of frame_index; all of them, or `frame_indices`.

        Raises:
            InputError: the clip is not in the store, or lacks one of `frame_indices`.
        """
        if not 0 <= class_id < len(self.frames_of) or not self.frames_of[class_id]:
            raise InputError(
                f"{self.folder}: no frames of the clip with class id {class_id}; see its row in {CLIPS_NAME}"
            )
        found = {
            index: jpeg
            for shard, entry in enumerate(self.manifest.shards)
            if entry.first_class_id <= class_id <= entry.last_class_id
            for index, _, jpeg in self._rows_of(shard, {class_id: frame_indices}).get(class_id, [])
        }
        missing = sorted(set(frame_indices or ()) - set(found))
        if missing:
            raise InputError(f"{self.folder}: clip with class id {class_id} has no stored frame {missing[0]}")
        return sorted(found.items())

    def select(self, frames: dict[int, Sequence[int] | None]) -> dict[int, list[tuple[int, int, bytes]]]:
        """Return the rows (frame_index, pts_us, JPEG) of several clips by class id; each shard is read once.

        `frames` maps a class id to the wanted frame indices, or to None for all.
        """
        result: dict[int, list[tuple[int, int, bytes]]] = {}
        for shard, entry in enumerate(self.manifest.shards):
            wanted = {
                class_id: indices
                for class_id, indices in frames.items()
                if entry.first_class_id <= class_id <= entry.last_class_id
            }
            if wanted:
                result.update(self._rows_of(shard, wanted))
        return result

    def _rows_of(self, shard: int, frames: dict[int, Sequence[int] | None]) -> dict[int, list[tuple[int, int, bytes]]]:
        reader = self.reader(shard)
        class_ids = np.array(sorted(frames), np.int32)
        rows: dict[int, list[tuple[int, int, bytes]]] = {}
        for group in range(reader.entry.row_groups):
            facts = reader.facts(group)
            picks = []
            for position in np.flatnonzero(np.isin(facts.class_id, class_ids)):
                class_id, index = int(facts.class_id[position]), int(facts.frame_index[position])
                some = frames[class_id]
                if some is None or index in some:
                    picks.append((class_id, index, int(facts.pts_us[position]), int(position)))
            if picks:
                jpegs = reader.jpegs(group)
                for class_id, index, pts_us, row in picks:
                    rows.setdefault(class_id, []).append((index, pts_us, jpegs[row].as_py()))
        return {class_id: sorted(clip_rows) for class_id, clip_rows in rows.items()}

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps cannot be sent to other processes; they are opened again there.
        return {**self.__dict__, "_readers": {}}


def clips_bytes(table: pa.Table) -> bytes:
    """clips.parquet as bytes: the same for the same table."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()
