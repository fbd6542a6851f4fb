"""Verify the frame store against its manifest, and repair it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.errors import InputError
from ssat.frames.settings import VerifySettings
from ssat.frames.store import FrameStore
from ssat.remote import is_remote
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BrokenShard:
    """A shard that is not what the manifest says, and its problems."""

    index: int
    path: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class StoreCheck:
    """Result of the check of a frame store.

    Attributes:
        shards, rows, jpegs_decoded: how much was checked.
        repaired: indices of the shards that were written again.
        digest: the data digest, after a repair.
        digest_changed: a repair has changed it: a library has another version than before.
        schema_version: of the store.
        outdated: what is wrong with a store of an earlier version, and the remedy; empty if nothing is.
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


class Verify(Stage[VerifySettings, StoreCheck]):
    """Check the frame store against its manifest; exit code 1 if it is broken and was not repaired."""

    name = "verify"
    settings = VerifySettings
    examples = ("ssat verify --workspace workspace", "ssat verify --sample 0.05 --repair")
    objects = True

    def needs(self, settings: VerifySettings) -> Needs:
        return Needs(ray=True)

    def open(self, workspace: str, settings: VerifySettings) -> Workspace:
        if not is_remote(workspace) and not Path(workspace).expanduser().is_dir():
            raise InputError(f"workspace {workspace}: no such folder; nothing was decoded there")
        return Workspace.open(workspace, objects=True, read_only=not settings.repair)

    def check_ready(self, workspace: Workspace, settings: VerifySettings) -> None:
        FrameStore.open(workspace.frames)

    def run(self, workspace: Workspace, settings: VerifySettings) -> StoreCheck:
        from prefect.artifacts import create_table_artifact

        from tasks.verify import repair_shards, verify_shards

        reports = verify_shards(workspace, settings.sample)
        broken = [report for report in reports if report.problems]
        manifest = FrameStore.open(workspace.frames).manifest
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
        if broken and settings.repair:
            repaired = repair_shards(workspace, broken)
            again = [report for report in verify_shards(workspace, settings.sample) if report.problems]
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

    def show(self, result: StoreCheck, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        if result.broken:
            table = Table(title="broken shards")
            table.add_column("shard", overflow="fold")
            table.add_column("problem", overflow="fold")
            for shard in result.broken:
                for problem in shard.problems:
                    table.add_row(str(shard.index), problem)
            console.print(table)
        state = "sound"
        if result.broken:
            broken = "broken: run `ssat verify --repair` to decode them again"
            state = broken if self.failure(result) else "repaired"
        console.print(
            f"{result.shards} shards, {result.rows:,} rows, {result.jpegs_decoded:,} JPEGs decoded: "
            f"{len(result.broken)} broken; {state}",
            markup=False,
            highlight=False,
        )
        if result.digest_changed:
            console.print(f"the data digest is now {result.digest}: a library has another version than before")
        if result.outdated:
            console.print(f"built by an earlier ssat: {result.outdated}", markup=False, highlight=False, soft_wrap=True)

    def message(self, result: StoreCheck) -> str:
        broken = len(result.broken) - len(result.repaired)
        return f"{result.shards} shards, {broken} broken, {len(result.repaired)} repaired"

    def failure(self, result: StoreCheck) -> str:
        lasting = len(result.broken) > len(result.repaired)
        return f"{self.message(result)}; run it with repair" if lasting else ""


STAGE = Verify()
