"""Verify: is the frame store what its manifest says? And repair it where it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.errors import InputError
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace
from tasks.services import ray_session
from tasks.verify import repair_shards, verify_shards


@dataclass(frozen=True)
class BrokenShard:
    """A shard that is not what the manifest says, and its problems."""

    index: int
    path: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class StoreCheck:
    """What the check of a frame store found.

    Attributes:
        shards, rows, jpegs_decoded: how much was checked.
        repaired: indices of the shards that were written again.
        digest: the data digest, after a repair.
        digest_changed: a repair has changed it: a library has another version than before.
        schema_version: of the store.
        outdated: what is wrong with a store of an earlier version, and the remedy; empty where nothing is.
    """

    shards: int
    rows: int
    jpegs_decoded: int
    broken: tuple[BrokenShard, ...]
    repaired: tuple[int, ...]
    digest: str
    digest_changed: bool
    schema_version: int
    outdated: str


@flow(name="verify", persist_result=False)
def verify_flow(workspace: str, sample: float = 1.0, repair: bool = False) -> StoreCheck:
    """Check every shard of the workspace's frame store; with `repair`, decode broken ones again.

    Raises:
        InputError: no store, its manifest is damaged, or a shard is still broken after its repair.
    """
    opened = Workspace.open(workspace, objects=True, read_only=not repair)
    with ray_session(opened):
        reports = verify_shards(opened, sample)
        broken = [report for report in reports if report.problems]
        manifest = FrameStore.open(opened.frames).manifest
        result = StoreCheck(
            shards=len(reports),
            rows=sum(report.rows for report in reports),
            jpegs_decoded=sum(report.jpegs_decoded for report in reports),
            broken=tuple(BrokenShard(report.index, report.path, report.problems) for report in broken),
            repaired=(),
            digest=manifest.digest,
            digest_changed=False,
            schema_version=manifest.schema_version,
            outdated=manifest.outdated,
        )
        if broken and repair:
            repaired = repair_shards(opened, broken)
            again = [report for report in verify_shards(opened, sample) if report.problems]
            if again:
                raise InputError(f"{again[0].path}: still broken after its repair: {again[0].problems[0]}")
            indices = tuple(report.index for report in broken)
            result = replace(result, repaired=indices, digest=repaired.digest, digest_changed=repaired.digest_changed)
    create_table_artifact(
        key="frame-store-check",
        table=[{"shard": shard.path, "problem": problem} for shard in result.broken for problem in shard.problems]
        or [{"shard": "all", "problem": "none"}],
        description=f"{result.shards} shards checked, {len(result.repaired)} repaired",
    )
    return result
