"""Rows of the tables about clips: one of an attempt, one of a collected clip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

import pyarrow as pa

STATUS_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("source", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("attempt", pa.int32()),
        ("status", pa.string()),
        ("error_class", pa.string()),
        ("error_message", pa.string()),
        ("http_status", pa.int32()),
        ("tool_version", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("n_frames", pa.int32()),
        ("duration_s", pa.float64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("path", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("elapsed_s", pa.float64()),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRow:
    """One attempt at a clip, as `STATUS_SCHEMA` stores it; None: not known.

    Attributes:
        clip_id: id of the candidate.
        source: address that was asked, without credentials.
        start_s, end_s: span of the candidate in its video, in seconds.
        attempt: counts from 1 over all runs.
        status: `ssat.clips.status.OK` and its neighbours.
        error_class: a `FailureClass`; None if nothing failed.
        error_message: why it failed, or which pictures a collected clip has lost.
        http_status: of the answer.
        tool_version: of the downloader; empty for local files.
        width, height: of the clip, in pixels.
        fps: frames per second.
        n_frames: of the clip.
        duration_s: of the clip, in seconds.
        bytes: size of its file.
        sha256: of its file.
        path: of its file, relative to the workspace.
        started_at: when the attempt began.
        elapsed_s: how long it took, in seconds.
        run_id: of the collector.
    """

    clip_id: str
    source: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    attempt: int
    status: str
    error_class: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    tool_version: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    n_frames: int | None = None
    duration_s: float | None = None
    bytes: int | None = None
    sha256: str | None = None
    path: str | None = None
    started_at: datetime
    elapsed_s: float | None = None
    run_id: str | None = None

    def columns(self) -> Mapping[str, Any]:
        """Return column → value."""
        return {name: getattr(self, name) for name in _STATUS_COLUMNS}

    def line(self) -> str:
        """Return the row as a line of JSON, with its end."""
        known = {name: value for name, value in self.columns().items() if value is not None}
        return json.dumps(known, default=lambda value: value.isoformat()) + "\n"

    @classmethod
    def of(cls, columns: Mapping[str, Any]) -> Self:
        """Return the row with these columns; those of other versions are ignored."""
        return cls(**{name: value for name, value in columns.items() if name in _STATUS_COLUMNS})

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the row in a line that `line` made.

        Raises:
            ValueError, KeyError, TypeError: a line that is torn.
        """
        columns = json.loads(line)
        return cls.of({**columns, "started_at": datetime.fromisoformat(columns["started_at"]).astimezone(UTC)})


_STATUS_COLUMNS = tuple(field.name for field in fields(StatusRow))


@dataclass(frozen=True, slots=True)
class CollectedClip:
    """A collected clip as the roster describes it, beside its class id; `path` is relative to the workspace."""

    clip_id: str
    path: str
    sha256: str
    width: int
    height: int
    fps: float
    n_frames: int
    duration_s: float
    bytes: int

    def columns(self) -> Mapping[str, Any]:
        """Return column → value."""
        return {name: getattr(self, name) for name in CLIP_COLUMNS}

    @classmethod
    def of(cls, row: StatusRow) -> CollectedClip:
        """Return the clip that a successful attempt collected."""
        return cls(**{name: getattr(row, name) for name in CLIP_COLUMNS})


CLIP_COLUMNS = tuple(field.name for field in fields(CollectedClip))
