"""Decode on Ray: one Ray task for each frame shard, a bounded number in flight, manifest last."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ssat.clips.roster import load_roster, roster_digest
from ssat.errors import InputError
from ssat.frames.build import commit_store, missing_shards, plan_shards
from ssat.frames.clip import spooled_frames
from ssat.frames.decoded import DecodedStore, DryDecoding, decoded_store, failed_clips
from ssat.frames.manifest import ClipRecord, ShardEntry, refuse_newer_store
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob, dry_shard, memory_bytes, write_shard
from ssat.locks import writing
from ssat.workspace import Workspace
from tasks.halt import stop_if_halted
from tasks.metrics import DECODED_FRAMES, FAILURES, count
from tasks.progress import progress_bar
from tasks.progress_artifact import progress_artifact
from tasks.ray_work import run_bounded, share_cluster


@task(name="decode-shards", persist_result=False, cache_policy=NO_CACHE)
def decode_shards(workspace: Workspace, settings: DecodeSettings) -> DecodedStore:
    """Bring the workspace's frame store up to its roster.

    Raises:
        InputError: no roster, none of its clips can be decoded, or a later version wrote the store.
        WorkspaceError: the store cannot be written, or another process writes it.
        ServiceError: Ray's workers die again and again.
    """
    began = time.monotonic()
    roster = load_roster(workspace)
    jobs = plan_shards(workspace, roster, settings)
    with writing(workspace.scratch):
        refuse_newer_store(workspace.frames)
        missing = missing_shards(jobs)
        new_frames = write_missing(missing, settings) if missing else 0
        finished = [done for job in jobs if (done := job.finished()) is not None]
        failed = failed_clips(finished)
        if len(failed) == roster.num_rows:
            first = failed[0]
            raise InputError(
                f"none of the {roster.num_rows} clips can be decoded; the first, {first.clip_id}: {first.reason}"
            )
        manifest = commit_store(workspace.frames, settings, roster_digest(roster), finished)
    return decoded_store(manifest, finished, len(missing), new_frames, time.monotonic() - began)


def write_missing(missing: Sequence[ShardJob], settings: DecodeSettings) -> int:
    """Write `missing` shards on Ray with a progress bar in frames; gives the number of frames written."""
    for job in missing:
        # A shard that is written again, for clips that are readable now, must not count as finished.
        job.sidecar.unlink(missing_ok=True)
    expected = sum(_expected_frames(job) for job in missing)
    share = share_cluster(len(missing), settings.workers, memory_bytes)
    finished_shards, finished_frames, written, shown, counted = 0, 0, 0, 0, 0
    with (
        progress_bar(f"frames, {len(missing)} shard{'s' * (len(missing) > 1)}", expected) as bar,
        progress_artifact(bar, "frames-progress"),
    ):

        def show(frames: int) -> None:
            nonlocal shown
            if frames > shown:
                bar(frames - shown)
                shown = frames

        def tell(frames: int) -> None:
            nonlocal counted
            if frames > counted:
                count(DECODED_FRAMES, frames - counted)
                counted = frames

        def poll(running: Sequence[ShardJob]) -> None:
            spooled = sum(spooled_frames(job.spool) for job in running)
            bar.in_flight(len(running), len(missing) - finished_shards - len(running), "shards")
            show(finished_frames + spooled)
            tell(written + spooled)
            stop_if_halted()

        for job, (entry, records) in run_bounded(_write_shard, missing, share, poll):
            finished_shards += 1
            failed = [record for record in records if record.status == "failed"]
            count(FAILURES, len(failed), stage="decode", kind="MEDIA")
            if failed:
                bar.failed(f"{failed[-1].clip_id}: {failed[-1].reason}", len(failed))
            # A failed clip is finished too: count its expected frames, so that the bar reaches its end.
            finished_frames += max(entry.rows, _expected_frames(job))
            show(finished_frames)
            written += entry.rows
            tell(written)
    return sum(done[0].rows for job in missing if (done := job.finished()) is not None)


@task(name="decode-dry", persist_result=False, cache_policy=NO_CACHE)
def decode_dry(workspace: Workspace, settings: DecodeSettings) -> DryDecoding:
    """Decode and encode every clip of the roster and discard the result; the store does not change.

    Raises:
        InputError: no roster.
        ServiceError: Ray's workers die again and again.
    """
    roster = load_roster(workspace)
    jobs = plan_shards(workspace, roster, settings)
    share = share_cluster(len(jobs), settings.workers, memory_bytes)
    frames = 0
    began = time.monotonic()
    with progress_bar("frames, discarded", sum(_expected_frames(job) for job in jobs)) as advance:
        for _, counted in run_bounded(_dry_shard, jobs, share):
            frames += counted
            advance(counted)
    seconds = time.monotonic() - began
    return DryDecoding(roster.num_rows, frames, len(jobs), round(seconds, 2), round(frames / seconds, 1))


def _dry_shard(job: ShardJob, threads: int) -> int:
    import cv2

    cv2.setNumThreads(1)
    return dry_shard(job, threads)


def _write_shard(job: ShardJob, threads: int) -> tuple[ShardEntry, list[ClipRecord]]:
    import cv2

    cv2.setNumThreads(1)  # the clips of a shard run concurrently already
    # An earlier attempt may have finished just before its worker was lost.
    return job.finished() or write_shard(job, threads)


def _expected_frames(job: ShardJob) -> int:
    stride, most = job.settings.frame_stride, job.settings.max_frames
    return sum(min(-(-clip.n_frames // stride), most or clip.n_frames) for clip in job.clips)


def report_store(result: DecodedStore) -> None:
    """Create the Prefect artifact of the store and its failed clips."""
    facts = ("clips", "frames", "shards", "bytes", "written_shards", "frames_per_second", "failed", "digest")
    create_table_artifact(
        key="frame-store",
        table=[{"fact": name.replace("_", " "), "value": getattr(result, name)} for name in facts]
        + [{"fact": f"failed: {clip.clip_id}", "value": clip.reason} for clip in result.failures],
        description=f"Frame store, data digest {result.digest}",
    )
