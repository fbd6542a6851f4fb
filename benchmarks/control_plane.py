"""500,000 clips without their videos: what is spent on lists, ranks, shards, manifests and the plan of an epoch.

    python benchmarks/control_plane.py

Everything runs in one process that starts empty; CPU-seconds, and the process's peak memory at the end of each step.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support.report import Claim, report
from support.stores import dummy_shard

from ssat.clips.collector import Collector
from ssat.clips.lists import read_list
from ssat.clips.roster import load_roster, roster_digest
from ssat.clips.settings import CollectSettings
from ssat.clips.status import STATUS_SCHEMA
from ssat.frames.build import commit_store, plan_shards
from ssat.frames.order import group_order
from ssat.frames.sampler import FrameSampler
from ssat.frames.settings import DecodeSettings
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace

FRAMES = 300
AGAIN = "start again: nothing to do (not in the sum)"


class Steps:
    """CPU-seconds and peak memory of each step."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self._began = time.process_time()

    def done(self, what: str) -> None:
        self.rows.append({"step": what, "CPU s": round(time.process_time() - self._began, 2), "peak MB": _peak_mb()})
        self._began = time.process_time()

    def skip(self) -> None:
        """What happened since the last step belongs to none."""
        self._began = time.process_time()


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def write_list(path: Path, clips: int) -> None:
    with path.open("w") as file:
        file.write("youtube_id,time_start,time_end,split\n")
        file.writelines(f"{n:011d},{n % 300},{n % 300 + 10},train\n" for n in range(clips))


def pretend_collected(workspace: Workspace, clips: int, parts: int = 16) -> None:
    """A status table in which every clip is collected; the clip files are empty, but they are there."""
    folder = workspace.clips / "status"
    folder.mkdir(parents=True)
    for part in range(parts):
        numbers = np.arange(part, clips, parts)
        ids = [f"{n:011d}" for n in numbers]
        count = len(ids)
        columns: dict[str, pa.Array] = {
            name: pa.nulls(count, STATUS_SCHEMA.field(name).type) for name in STATUS_SCHEMA.names
        }
        columns |= {
            "clip_id": pa.array(ids),
            "attempt": pa.array(np.ones(count, np.int32)),
            "status": pa.array(["ok"] * count),
            "n_frames": pa.array(np.full(count, FRAMES, np.int32)),
            "bytes": pa.array(np.zeros(count, np.int64)),
            "sha256": pa.array([f"{n:064x}" for n in numbers]),
            "path": pa.array(["clips/empty.mp4"] * count),
            "started_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * count, STATUS_SCHEMA.field("started_at").type),
            "run_id": pa.array(["run"] * count),
        }
        pq.write_table(pa.table(columns, schema=STATUS_SCHEMA), folder / f"part-{part + 1:08d}.parquet")
    (workspace.clips / "empty.mp4").touch()


@click.command(help=__doc__)
@click.option("--clips", default=500_000, show_default=True, help="Clips of the list.")
def main(clips: int) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="ssat-control-"))
    try:
        rows = measure(temporary, clips)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    # From a list to the first batch, each step once; the second resume is what starting again costs.
    total = sum(float(row["CPU s"]) for row in rows if row["step"] != AGAIN)  # type: ignore[arg-type]
    report(
        "control_plane",
        f"{clips:,} clips of {FRAMES} frames, {total:.1f} CPU-seconds of one core, {_peak_mb():,} MB at most",
        rows,
        [
            Claim("CPU-seconds", total, at_most=60),
            Claim("peak MB", _peak_mb(), at_most=2000),
        ],
    )


def measure(folder: Path, clips: int) -> list[dict[str, object]]:
    workspace = Workspace.open(folder / "workspace")
    source = folder / "list.csv"
    write_list(source, clips)
    steps = Steps()
    ordered = read_list(source).ordered(0)
    assert len(ordered) == clips
    steps.done("read and order the list")
    del ordered

    pretend_collected(workspace, clips)
    steps.skip()
    settings = CollectSettings(source=str(source), clips=clips, min_free_gib=0)
    with Collector(workspace, settings) as collector:
        assert collector.next_shard() is None
        assert collector.roster.num_rows == clips
    steps.done("resume: list, status table, ranks for all")
    with Collector(workspace, settings) as collector:
        assert collector.next_shard() is None
    steps.done(AGAIN)
    del collector

    decode = DecodeSettings()
    roster = load_roster(workspace)
    jobs = plan_shards(workspace, roster, decode)
    steps.done(f"plan {len(jobs):,} shards")
    finished = [dummy_shard(job, FRAMES) for job in jobs]
    steps.skip()
    commit_store(workspace.frames, decode, roster_digest(roster), finished)
    steps.done("commit clip table and manifest")
    del jobs, finished, roster

    store = FrameStore.open(workspace.frames)
    steps.done("open the store")
    # What every one of 8 processes does before its first batch: choose frames, count steps, order the row groups.
    sampler = FrameSampler(
        store,
        class_ids=range(clips),
        batch_size=256,
        crop=224,
        short_side=256,
        frames_per_clip=30,
        process_rank=3,
        world_size=8,
    )
    order = group_order(sum(entry.row_groups for entry in store.manifest.shards), 0, 0)
    assert len(order) * 256 >= clips * FRAMES
    steps.done(f"plan an epoch of {sampler.steps_per_epoch:,} steps on one of 8 processes")
    return steps.rows


if __name__ == "__main__":
    main()
