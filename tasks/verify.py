"""Verify the frame store on Ray, a task for each shard, and write broken shards again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.clips.roster import load_roster, roster_digest
from ssat.errors import InputError
from ssat.frames.build import commit_store, is_whole, plan_shards
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import ShardJob
from ssat.frames.store import FrameStore
from ssat.frames.verify import ShardReport, verify_shard
from ssat.locks import writing
from ssat.workspace import Workspace
from tasks.decode import write_missing
from tasks.progress import progress_bar
from tasks.ray_work import Share, run_bounded, share_cluster


@task(name="verify-shards", persist_result=False, cache_policy=NO_CACHE)
def verify_shards(workspace: Workspace, sample: float) -> list[ShardReport]:
    """Check every shard; decode a share `sample` of the JPEGs.

    Raises:
        InputError: no store, or its manifest or clip table is damaged.
    """
    store = FrameStore.open(workspace.frames)
    positions = range(len(store.manifest.shards))
    jobs = [(str(store.folder), position, sample) for position in positions]
    share = Share(1, share_cluster(len(jobs)).in_flight * share_cluster(len(jobs)).threads)
    reports = []
    with progress_bar("shards", len(jobs)) as advance:
        for _, report in run_bounded(_verify, jobs, share):
            reports.append(report)
            advance()
    return sorted(reports, key=lambda report: report.index)


def _verify(job: tuple[str, int, float], threads: int) -> ShardReport:
    folder, position, sample = job
    return verify_shard(FrameStore.open(folder), position, sample)


@dataclass(frozen=True)
class Repair:
    """The data digest after a repair, and whether it is another one than before."""

    digest: str
    digest_changed: bool


@task(name="repair-shards", persist_result=False, cache_policy=NO_CACHE)
def repair_shards(workspace: Workspace, broken: Sequence[ShardReport]) -> Repair:
    """Decode the clips of `broken` shards again, by the settings in the manifest.

    The same clips and libraries give the same bytes, so the data digest stays. Where it does not (another version of
    a library), the manifest is written again.

    Raises:
        InputError: the store is of an earlier version, the roster has changed since, so that another store would come
            of it, or a clip is gone from disk.
    """
    store = FrameStore.open(workspace.frames)
    if store.manifest.outdated:
        raise InputError(
            f"{workspace.frames}: a store of an earlier version is not repaired; run `ssat decode`, which decodes "
            f"every clip again. {store.manifest.outdated}"
        )
    settings = DecodeSettings.build(None, store.manifest.settings)
    roster = load_roster(workspace)
    wanted = {report.index for report in broken}
    jobs = plan_shards(workspace, roster, settings)
    keys = {entry.index: entry.key for entry in store.manifest.shards}
    if [job.key for job in jobs] != [entry.key for entry in store.manifest.shards]:
        changed = next((job.index for job in jobs if keys.get(job.index) != job.key), len(jobs))
        raise InputError(
            f"{workspace.frames}: the roster has changed since the store was written (first at shard {changed}); run "
            "`ssat decode`, which writes what differs"
        )
    with writing(workspace.scratch):
        chosen = [job for job in jobs if job.index in wanted]
        _check_sources(store, chosen)
        write_missing(chosen, settings)
        finished = [done for job in jobs if (done := job.finished()) is not None]
        if len(finished) != len(jobs):
            raise InputError(f"{workspace.frames}: a shard's own manifest (shard-*.json) is lost; run `ssat decode`")
        manifest = commit_store(workspace.frames, settings, roster_digest(roster), finished)
    return Repair(manifest.digest, manifest.digest != store.digest)


def _check_sources(store: FrameStore, jobs: Sequence[ShardJob]) -> None:
    """Refuse a repair without the original clips: a shard that lost a row still has the others."""
    for job in jobs:
        for clip in job.clips:
            if store.frames_of[clip.class_id] and not is_whole(clip):
                raise InputError(
                    f"{clip.path}: missing or changed, so {job.name} cannot be written again as it was; run "
                    "`ssat collect`, then `ssat verify --repair`"
                )
