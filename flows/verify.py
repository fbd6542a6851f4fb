"""Verify: is the frame store what its manifest says? And repair it where it is not."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.errors import InputError
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace
from tasks.services import ray_session
from tasks.verify import repair_shards, verify_shards


@flow(name="verify", persist_result=False)
def verify_flow(workspace: str, sample: float = 1.0, repair: bool = False) -> dict[str, Any]:
    """Checks every shard of the workspace's frame store; with `repair`, decodes broken ones again.

    Gives "shards", "rows", "jpegs_decoded", "broken" (index, path, problems of each broken shard), "repaired"
    (indices), "digest", "digest_changed", "schema_version" and "outdated" (what is wrong with a store of an earlier
    version, and the remedy; empty where nothing is).

    Raises:
        InputError: no store, its manifest is damaged, or a shard is still broken after its repair.
    """
    opened = Workspace.open(workspace, objects=True, read_only=not repair)
    with ray_session(opened):
        reports = verify_shards(opened, sample)
        broken = [report for report in reports if report.problems]
        manifest = FrameStore.open(opened.frames).manifest
        result: dict[str, Any] = {
            "shards": len(reports),
            "rows": sum(report.rows for report in reports),
            "jpegs_decoded": sum(report.jpegs_decoded for report in reports),
            "broken": [
                {"index": report.index, "path": report.path, "problems": list(report.problems)} for report in broken
            ],
            "repaired": [],
            "digest": manifest.digest,
            "digest_changed": False,
            "schema_version": manifest.schema_version,
            "outdated": manifest.outdated,
        }
        if broken and repair:
            result |= repair_shards(opened, broken)
            again = [report for report in verify_shards(opened, sample) if report.problems]
            if again:
                raise InputError(f"{again[0].path}: still broken after its repair: {again[0].problems[0]}")
            result["repaired"] = [report.index for report in broken]
    create_table_artifact(
        key="frame-store-check",
        table=[{"shard": row["path"], "problem": problem} for row in result["broken"] for problem in row["problems"]]
        or [{"shard": "all", "problem": "none"}],
        description=f"{result['shards']} shards checked, {len(result['repaired'])} repaired",
    )
    return result
