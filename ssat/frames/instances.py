"""The instances table of a frame store: class and box of every instance in every frame.

A row is one box in one stored frame. Parts follow the shards of the store, so that a reader of a shard needs one part;
class ids follow the clips, so that the instances of the first N clips are a prefix.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssat.errors import InputError
from ssat.file_names import MANIFEST
from ssat.frames.manifest import canonical_json
from ssat.remote import AnyPath
from ssat.workspace import committed, sha256_of

TABLE_VERSION = 1
CLIPS_NAME = "clips.parquet"
# A clip's instances are the classes clip · 1000, clip · 1000 + 1, …: no clip's ids depend on another clip's.
MAX_PER_CLIP = 1000
_FRAMES = 2**16  # more than a clip has frames
_OPEN_PARTS = 64  # parts kept in memory: about 1 MB each
_ADVICE = "delete the folder; the next `ssat train` writes it again"

# class_id: clip_class_id · 1000 + number of the instance in its clip. frame_index: as in the frame store. x1 … y2:
# corners of the box as shares of width and height of the frame; may reach beyond it.
INSTANCE_SCHEMA = pa.schema(
    [
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("clip_class_id", pa.int32(), nullable=False),
        pa.field("clip_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("frame_index", pa.int16(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in ("x1", "y1", "x2", "y2")),
        pa.field("kind", pa.dictionary(pa.int32(), pa.string()), nullable=False),
    ]
)

# One row per clip: status "ok" (it may still have no instance) or "unreadable"; classes, those that move against the
# background, frames that show an instance, boxes.
CLIPS_SCHEMA = pa.schema(
    [
        pa.field("clip_class_id", pa.int32(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        *(pa.field(name, pa.int32(), nullable=False) for name in ("classes", "moving", "frames", "boxes")),
    ]
)


@dataclass(frozen=True)
class ClipInstances:
    """The instances of one clip.

    Attributes:
        clip_class_id: class id of the clip.
        clip_id: its name.
        number: (n,) number of the instance in the clip, 0 … k - 1.
        frame_index: (n,) frame of the box, as in the frame store.
        boxes: (n, 4) x1 y1 x2 y2 as shares of width and height.
        moving: how many instances move against the background.
        readable: False if the clip's file is no readable video; it has no rows then.
    """

    clip_class_id: int
    clip_id: str
    number: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    boxes: NDArray[np.float64]
    moving: int
    readable: bool = True


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartEntry(_Record):
    """One part: the instances of the clips of one shard. `key` is a digest of what it was made of."""

    path: str = Field(pattern=r"^part-\d+\.parquet$")
    key: str
    rows: int = Field(ge=0)
    sha256: str


class InstancesManifest(_Record):
    """Written last: what the table holds, and the digest that names it."""

    table_version: int = TABLE_VERSION
    kind: str
    settings: dict[str, Any]
    clips_sha256: str
    parts: tuple[PartEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()


@dataclass(frozen=True)
class PartBoxes:
    """The boxes of one part, sorted by clip, frame and class."""

    class_id: NDArray[np.int32]
    boxes: NDArray[np.float32]
    frames: NDArray[np.int64]
    """(f,) clip and frame of each frame that shows an instance, as one ascending number."""
    starts: NDArray[np.int64]
    """(f + 1,) where the rows of each begin."""

    def of_frame(self, clip_class_id: int, frame_index: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return class ids (n,) and boxes (n, 4) of a frame; empty if it shows no instance."""
        wanted = _frame_number(np.int64(clip_class_id), np.int64(frame_index))
        at = int(np.searchsorted(self.frames, wanted))
        if at == len(self.frames) or self.frames[at] != wanted:
            return self.class_id[:0], self.boxes[:0]
        rows = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.class_id[rows], self.boxes[rows]

    @staticmethod
    def frame_index(frame: int) -> int:
        """Return the frame index in one of `frames`."""
        return frame % _FRAMES

    def ordinal(self, clip_class_id: NDArray[Any], frame_index: NDArray[Any]) -> NDArray[np.int64]:
        """Return (n,) how many frames of the same clip with instances lie before each frame; -1 for one without any."""
        if not len(self.frames):
            return np.full(len(clip_class_id), -1, np.int64)
        wanted = _frame_number(clip_class_id.astype(np.int64), frame_index.astype(np.int64))
        at = np.searchsorted(self.frames, wanted)
        known = self.frames[np.minimum(at, len(self.frames) - 1)] == wanted
        first = np.searchsorted(self.frames, _frame_number(clip_class_id.astype(np.int64), np.int64(0)))
        return np.where(known, at - first, -1)


class InstanceTable:
    """A finished instances table. Reads only."""

    def __init__(self, folder: AnyPath, manifest: InstancesManifest, clips: pa.Table) -> None:
        self.folder = folder
        self.manifest = manifest
        self.clips = clips

    @classmethod
    def open(cls, folder: AnyPath) -> Self:
        """Return the table in `folder`.

        Raises:
            InputError: no table, or one that is damaged or of a later version.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            stated = content.pop("digest")
            if content.get("table_version", 0) > TABLE_VERSION:
                raise InputError(
                    f"{path}: table_version {content['table_version']} is above {TABLE_VERSION}; upgrade ssat"
                )
            manifest = InstancesManifest.model_validate(content)
            clips = (folder / CLIPS_NAME).read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file; expected an instances table. Run `ssat train`") from error
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise InputError(f"{path}: damaged ({error}); expected an instances table. {_ADVICE}") from error
        if stated != manifest.digest or hashlib.sha256(clips).hexdigest() != manifest.clips_sha256:
            raise InputError(f"{path}: its digest does not fit the content; expected an unchanged table. {_ADVICE}")
        return cls(folder, manifest, pq.read_table(pa.BufferReader(clips)))

    @property
    def digest(self) -> str:
        """Names the table where a training is recorded."""
        return self.manifest.digest

    @property
    def recipe(self) -> str:
        """Names how the instances are made, whatever the clips: class ids of tables of one recipe agree."""
        content = [self.manifest.table_version, self.manifest.kind, self.manifest.settings]
        return hashlib.sha256(canonical_json(content)).hexdigest()[:16]

    @functools.cached_property
    def classes_of(self) -> NDArray[np.int64]:
        """(highest clip class id + 1,) instances of each clip."""
        return self._counts("classes")

    @functools.cached_property
    def frames_of(self) -> NDArray[np.int64]:
        """(highest clip class id + 1,) frames of each clip that show an instance."""
        return self._counts("frames")

    def class_ids(self, clips: Sequence[int]) -> NDArray[np.int64]:
        """Return the class ids of the instances of `clips` (class ids of clips, ascending)."""
        parts = [clip * MAX_PER_CLIP + np.arange(self.classes_of[clip]) for clip in clips]
        return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)

    def part(self, shard: int) -> PartBoxes:
        """Return the boxes of the clips in the shard at position `shard` of the store.

        Raises:
            InputError: the part is missing or damaged.
        """
        boxes: PartBoxes = self._part(shard)
        return boxes

    @functools.cached_property
    def _part(self) -> Any:
        return functools.lru_cache(_OPEN_PARTS)(self._read_part)

    def _read_part(self, shard: int) -> PartBoxes:
        entry = self.manifest.parts[shard]
        path = self.folder / entry.path
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != entry.sha256:
                raise InputError(f"{path}: its digest is not the manifest's; expected an unchanged part. {_ADVICE}")
            table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: cannot be read ({error}); expected a part of the table. {_ADVICE}") from error
        clip, frame = (table[name].to_numpy().astype(np.int64) for name in ("clip_class_id", "frame_index"))
        frames, starts = np.unique(_frame_number(clip, frame), return_index=True)
        boxes = np.stack([table[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], axis=1)
        return PartBoxes(table["class_id"].to_numpy(), boxes, frames, np.append(starts, len(clip)))

    def _counts(self, column: str) -> NDArray[np.int64]:
        clip = self.clips["clip_class_id"].to_numpy()
        counts = np.zeros(int(clip.max()) + 1 if len(clip) else 0, np.int64)
        counts[clip] = self.clips[column].to_numpy()
        return counts

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_part"}


def write_instances(
    folder: AnyPath, kind: str, settings: dict[str, Any], parts: Sequence[tuple[str, Sequence[ClipInstances]]]
) -> InstancesManifest:
    """Write a table: parts whose key is as before are kept, the manifest comes last.

    Args:
        folder: of the table.
        kind: of the instances.
        settings: that the instances follow from.
        parts: for each shard of the store, a key of all that its instances follow from, and its clips in order.
    """
    entries = []
    before = _entries_of(folder)
    for number, (key, clips) in enumerate(parts):
        name = f"part-{number:05d}.parquet"
        earlier = before.get(name)
        if earlier is None or earlier.key != key or not (folder / name).is_file():
            table = _rows(clips, kind)
            with committed(folder / name) as temporary:
                pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
            earlier = PartEntry(path=name, key=key, rows=table.num_rows, sha256=sha256_of(folder / name))
        entries.append(earlier)
    sink = io.BytesIO()
    facts = [_facts(clip) for _, clips in parts for clip in clips]
    pq.write_table(pa.Table.from_pylist(facts, schema=CLIPS_SCHEMA), sink, compression="zstd", write_page_checksum=True)
    with committed(folder / CLIPS_NAME) as temporary:
        temporary.write_bytes(sink.getvalue())
    manifest = InstancesManifest(
        kind=kind,
        settings=settings,
        clips_sha256=hashlib.sha256(sink.getvalue()).hexdigest(),
        parts=tuple(entries),
    )
    content = {**manifest.model_dump(mode="json"), "digest": manifest.digest}
    with committed(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return manifest


def _entries_of(folder: AnyPath) -> dict[str, PartEntry]:
    try:
        return {entry.path: entry for entry in InstanceTable.open(folder).manifest.parts}
    except InputError:
        return {}  # none yet, or one that is written again


def _rows(clips: Sequence[ClipInstances], kind: str) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in INSTANCE_SCHEMA.names}
    for clip in clips:
        if clip.number.max(initial=-1) >= MAX_PER_CLIP:
            raise InputError(f"clip {clip.clip_id}: more than {MAX_PER_CLIP} instances; expected at most that many")
        order = np.lexsort((clip.number, clip.frame_index))
        columns["class_id"] += (clip.clip_class_id * MAX_PER_CLIP + clip.number[order]).tolist()
        columns["clip_class_id"] += [clip.clip_class_id] * len(order)
        columns["clip_id"] += [clip.clip_id] * len(order)
        columns["frame_index"] += clip.frame_index[order].tolist()
        columns["kind"] += [kind] * len(order)
        for name, values in zip(("x1", "y1", "x2", "y2"), clip.boxes[order].reshape(-1, 4).T, strict=True):
            columns[name] += values.tolist()
    arrays = {name: pa.array(values, INSTANCE_SCHEMA.field(name).type) for name, values in columns.items()}
    return pa.table(arrays, INSTANCE_SCHEMA)


def _facts(clip: ClipInstances) -> dict[str, Any]:
    return {
        "clip_class_id": clip.clip_class_id,
        "clip_id": clip.clip_id,
        "status": "ok" if clip.readable else "unreadable",
        "classes": int(clip.number.max(initial=-1)) + 1,
        "moving": clip.moving,
        "frames": len(np.unique(clip.frame_index)),
        "boxes": len(clip.number),
    }


def _frame_number(clip: NDArray[Any] | np.int64, frame: NDArray[Any] | np.int64) -> Any:
    return clip * _FRAMES + frame
