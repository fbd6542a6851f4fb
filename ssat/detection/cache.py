"""Cache of detections in Parquet, by the digest of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ssat.detection.detections import Detections
from ssat.workspace import committed

_COLUMNS = ("x1", "y1", "x2", "y2", "score", "centre_x", "centre_y", "offset_x", "offset_y")
_SCHEMA = pa.schema([("frame", pa.int32()), *((name, pa.float64()) for name in _COLUMNS)])


def store_chunk(folder: Path, key: str, frames: Sequence[Detections]) -> Path:
    """Keep the detections of consecutive frames, whole or not at all; `frame` counts from 0 within the file."""
    table = np.concatenate(
        [
            np.column_stack((detections.boxes, detections.scores, detections.centres, detections.offsets))
            for detections in frames
        ],
        dtype=np.float64,
    )
    number = np.repeat(np.arange(len(frames), dtype=np.int32), [len(detections) for detections in frames])
    arrays = [pa.array(number), *(pa.array(np.ascontiguousarray(column)) for column in table.T)]
    content = pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata({"key": key, "frames": str(len(frames))}))
    path = _path(folder, key)
    with committed(path) as temporary:
        pq.write_table(content, temporary)
    return path


def load_chunk(folder: Path, key: str, n_frames: int) -> list[Detections] | None:
    """Return the detections stored under `key`; None if there are none or the file is damaged."""
    try:
        content = pq.read_table(_path(folder, key), schema=_SCHEMA, memory_map=False)
        facts = pq.read_schema(_path(folder, key)).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    if facts.get(b"key") != key.encode() or facts.get(b"frames") != str(n_frames).encode():
        return None
    number = content["frame"].to_numpy()
    table = np.column_stack([content[name].to_numpy() for name in _COLUMNS])
    rows = [table[number == index] for index in range(n_frames)]
    return [
        Detections(frame_rows[:, :4], frame_rows[:, 4], frame_rows[:, 5:7], frame_rows[:, 7:9]) for frame_rows in rows
    ]


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.parquet"
