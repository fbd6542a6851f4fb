"""The result of decoding, and detection of a finished store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssat.clips.roster import load_roster, roster_digest
from ssat.errors import InputError
from ssat.frames.build import FinishedShard, missing_shards, plan_shards
from ssat.frames.manifest import ClipRecord, Manifest
from ssat.frames.settings import DecodeSettings
from ssat.workspace import Workspace

_FAILURES_SHOWN = 20


@dataclass(frozen=True)
class FailedClip:
    """A clip of the roster that could not be decoded, and why."""

    class_id: int
    clip_id: str
    reason: str

    def as_json(self) -> Mapping[str, object]:
        """Return the fields; the class id is `rank` in JSON."""
        return {"rank": self.class_id, "clip_id": self.clip_id, "reason": self.reason}


@dataclass(frozen=True)
class DecodedStore:
    """Content of the frame store, and the work of this run.

    Attributes:
        clips, frames, shards, bytes: of the store.
        written_shards, written_frames, seconds, frames_per_second: of this run.
        failed: clips of the roster that the store lacks.
        failures: the first of them.
        digest: the data digest.
    """

    clips: int
    frames: int
    shards: int
    bytes: int
    written_shards: int
    written_frames: int
    seconds: float
    frames_per_second: float
    failed: int
    failures: tuple[FailedClip, ...]
    digest: str


@dataclass(frozen=True)
class DryDecoding:
    """Clips decoded, encoded and discarded, and the time in seconds."""

    clips: int
    frames: int
    shards: int
    seconds: float
    frames_per_second: float


def decoded_store(
    manifest: Manifest, shards: Sequence[FinishedShard], written: int, new_frames: int, seconds: float
) -> DecodedStore:
    """Return the result of a run that wrote so many shards and frames in so many seconds."""
    failed = failed_clips(shards)
    return DecodedStore(
        clips=manifest.n_clips,
        frames=manifest.n_frames,
        shards=len(manifest.shards),
        bytes=sum(entry.bytes for entry, _ in shards),
        written_shards=written,
        written_frames=new_frames,
        seconds=round(seconds, 2),
        frames_per_second=round(new_frames / seconds, 1),
        failed=len(failed),
        failures=tuple(
            FailedClip(record.class_id, record.clip_id, record.reason) for record in failed[:_FAILURES_SHOWN]
        ),
        digest=manifest.digest,
    )


def failed_clips(shards: Sequence[FinishedShard]) -> list[ClipRecord]:
    """Return the clips of `shards` that could not be decoded."""
    return [record for _, records in shards for record in records if record.status == "failed"]


def finished_store(workspace: Workspace, settings: DecodeSettings) -> DecodedStore | None:
    """Return the workspace's frame store where decoding would add nothing to it, else None; nothing is written.

    Raises:
        InputError: no roster, or one that cannot be read.
    """
    began = time.monotonic()
    roster = load_roster(workspace)
    try:
        manifest = Manifest.load(workspace.frames)
    except InputError:
        return None  # none, or a damaged one, which decoding writes again
    if manifest.settings != settings.content() or manifest.roster_digest != roster_digest(roster):
        return None
    jobs = plan_shards(workspace, roster, settings)
    shards = [done for job in jobs if (done := job.finished()) is not None]
    if [entry for entry, _ in shards] != list(manifest.shards) or missing_shards(jobs):
        return None
    return decoded_store(manifest, shards, 0, 0, time.monotonic() - began)
