"""Check a frame store: digests, page checksums, rows, their permutation and the JPEGs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.frames.manifest import ShardEntry
from ssat.frames.schema import ROW_GROUP_ROWS
from ssat.frames.shard import row_order
from ssat.frames.store import FrameStore, ShardReader
from ssat.remote import AnyPath
from ssat.workspace import sha256_of

_LISTED = 5  # problems of one kind that are listed for a shard; the rest is counted


@dataclass(frozen=True)
class ShardReport:
    """Result of the check of one shard. `problems` is empty if it is sound."""

    index: int
    path: str
    rows: int
    jpegs_decoded: int
    problems: tuple[str, ...]


def verify_shard(store: FrameStore, position: int, sample: float = 1.0) -> ShardReport:
    """Check the shard at `position` of the manifest; decode a share `sample` of its JPEGs, evenly spread.

    Every row's facts, page checksum and JPEG header are checked whatever the sample. Never raises for what it finds.
    """
    entry = store.manifest.shards[position]
    path = store.folder / entry.path
    check = _Check(store, entry, sample)
    problems = list(check.problems(path))
    kept = problems[: 4 * _LISTED]
    if len(problems) > len(kept):
        kept.append(f"and {len(problems) - len(kept)} more problems")
    return ShardReport(entry.index, entry.path, entry.rows, check.decoded, tuple(kept))


class _Check:
    def __init__(self, store: FrameStore, entry: ShardEntry, sample: float) -> None:
        self.decoded = 0
        self._entry = entry
        self._sample = sample
        self._seed = int(store.manifest.settings.get("seed") or 0)
        self._stride = store.frame_stride
        class_ids = store.clips.column("rank").to_numpy()
        chosen = (class_ids >= entry.first_class_id) & (class_ids <= entry.last_class_id)
        clips = store.clips.filter(pa.array(chosen)).to_pylist()
        self._frames = {row["rank"]: row["n_frames"] for row in clips}
        self._names = {row["rank"]: row["clip_id"] for row in clips}

    def problems(self, path: AnyPath) -> Iterator[str]:
        try:
            reader = ShardReader(path, self._entry, verify_checksums=True)
            digest = sha256_of(path)
        except OSError as error:
            yield f"cannot be read: {error.strerror}"
            return
        except InputError as error:
            yield str(error)
            return
        if digest != self._entry.sha256:
            yield f"SHA-256 is {digest}, the manifest says {self._entry.sha256}"
        class_ids, frames = [], []
        try:
            for group in range(self._entry.row_groups):
                try:
                    table = reader.table(group)
                except InputError as error:
                    yield str(error)
                    continue
                class_ids.append(table.column("class_id").to_numpy())
                frames.append(table.column("frame_index").to_numpy())
                yield from self._group_problems(group, table)
        finally:
            reader.close()
        if len(class_ids) == self._entry.row_groups:
            yield from self._order_problems(_joined(class_ids), _joined(frames))

    def _group_problems(self, group: int, table: pa.Table) -> Iterator[str]:
        for row, facts in enumerate(table.to_pylist()):
            where = (
                f"row group {group} row {row} (clip with class id {facts['class_id']}, frame {facts['frame_index']})"
            )
            if self._names.get(facts["class_id"]) != facts["clip_id"]:
                yield f"{where}: clip {facts['clip_id']!r} is not the clip of this class id"
            jpeg = facts["jpeg"]
            try:
                height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
                if (width, height) != (facts["width"], facts["height"]):
                    yield f"{where}: JPEG of {width}x{height}, the row says {facts['width']}x{facts['height']}"
                elif self._is_sampled(group, row):
                    self.decoded += 1
                    simplejpeg.decode_jpeg(jpeg)
            except (ValueError, struct.error) as error:
                yield f"{where}: the JPEG cannot be decoded: {error}"

    def _is_sampled(self, group: int, row: int) -> bool:
        number = group * ROW_GROUP_ROWS + row
        return int((number + 1) * self._sample) > int(number * self._sample)

    def _order_problems(self, class_ids: NDArray[np.int64], frames: NDArray[np.int64]) -> Iterator[str]:
        """Check that every clip has its frames once, in the order of the seeded permutation."""
        counts = {
            int(class_id): int(count) for class_id, count in zip(*np.unique(class_ids, return_counts=True), strict=True)
        }
        wrong = [class_id for class_id, count in self._frames.items() if counts.get(class_id, 0) != count]
        for class_id in wrong[:_LISTED]:
            rows = counts.get(class_id, 0)
            yield f"clip with class id {class_id} has {rows} rows, clips.parquet says {self._frames[class_id]}"
        if wrong:
            return
        expected_class_ids = _joined([np.full(count, class_id) for class_id, count in sorted(self._frames.items())])
        expected_frames = _joined([np.arange(count) * self._stride for _, count in sorted(self._frames.items())])
        order = row_order(self._seed, self._entry.index, len(class_ids))
        moved = (expected_class_ids[order] != class_ids) | (expected_frames[order] != frames)
        if moved.any():
            yield f"{int(moved.sum())} rows are not where the permutation of seed {self._seed} puts them"


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])
