"""Clips on disk and the stores made of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from ssat.clips.roster import ROSTER_SCHEMA, roster_digest, save_roster
from ssat.frames.build import commit_store, missing_shards, plan_shards
from ssat.frames.instances import ClipInstances, InstanceTable, write_instances
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace, sha256_of

# Short, and of each kind: BT.709 limited, full range, portrait, unspecified colours.
REAL_CLIPS = ("0009", "0000", "0007", "0004")


def _write_clip(path: Path, seed: int, frames: int = 30, size: tuple[int, int] = (96, 64), fps: int = 25) -> Path:
    """A small H.264 clip of a moving pattern of its own colour."""
    random = np.random.default_rng(seed)
    width, height = size
    base = np.kron(random.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 2 * i, axis=1), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_roster(workspace: Workspace, clips: Sequence[Path]) -> pa.Table:
    """The roster of `clips`, class ids in the order given; frames are counted where the file can be read."""
    rows = []
    for class_id, path in enumerate(clips):
        frames, width, height, fps = 30, 96, 64, 25.0
        try:
            with av.open(str(path)) as container:
                stream = container.streams.video[0]
                frames, width, height = stream.frames, stream.width, stream.height
                fps = float(stream.average_rate or 25)
        except (av.error.FFmpegError, IndexError):
            pass
        rows.append(
            {
                "rank": class_id,
                "clip_id": path.stem,
                "path": workspace.relative(path),
                "sha256": sha256_of(path),
                "width": width,
                "height": height,
                "fps": fps,
                "n_frames": frames,
                "duration_s": frames / fps,
                "bytes": path.stat().st_size,
            }
        )
    table = pa.Table.from_pylist(rows, schema=ROSTER_SCHEMA)
    save_roster(workspace, table, {})
    return table


def _build_store(workspace: Workspace, roster: pa.Table, settings: DecodeSettings, threads: int = 1) -> FrameStore:
    """Decode what is missing, in this process."""
    jobs = plan_shards(workspace, roster, settings)
    for job in missing_shards(jobs):
        job.sidecar.unlink(missing_ok=True)
        write_shard(job, threads)
    finished = [done for job in jobs if (done := job.finished())]
    commit_store(workspace.frames, settings, roster_digest(roster), finished)
    return FrameStore.open(workspace.frames)


@pytest.fixture(scope="session")
def small_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten generated clips of 30 frames, the third of 45."""
    folder = tmp_path_factory.mktemp("clips")
    return [_write_clip(folder / f"clip{i}.mp4", i, frames=45 if i == 2 else 30) for i in range(10)]


@pytest.fixture
def collected(workspace: Workspace, small_clips: list[Path]) -> Callable[[int], pa.Table]:
    """The first n small clips, collected in `workspace`: gives their roster."""

    def collect(count: int) -> pa.Table:
        folder = workspace.clips / "trimmed"
        folder.mkdir(parents=True, exist_ok=True)
        return _write_roster(workspace, [Path(shutil.copy(clip, folder)) for clip in small_clips[:count]])

    return collect


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory, small_clips: list[Path]) -> FrameStore:
    """Ten clips in shards of four: 315 rows. Read only."""
    workspace = Workspace.open(tmp_path_factory.mktemp("store"))
    folder = workspace.clips / "trimmed"
    folder.mkdir(parents=True)
    roster = _write_roster(workspace, [Path(shutil.copy(clip, folder)) for clip in small_clips])
    return _build_store(workspace, roster, DecodeSettings(shard_clips=4))


@pytest.fixture(scope="session")
def small_instances(small_store: FrameStore, tmp_path_factory: pytest.TempPathFactory) -> InstanceTable:
    """Five boxes a clip that move with the pattern, 2 pixels a frame, in every second frame; none in clip 4."""
    folder = tmp_path_factory.mktemp("instances")
    parts = []
    for entry in small_store.manifest.shards:
        clips = []
        for class_id in range(entry.first_class_id, entry.last_class_id + 1):
            number, index = (part.ravel() for part in np.mgrid[: 0 if class_id == 4 else 5, 0:29:2])
            x, y = (4 * number + 2 * index) / 96, (8 * number) / 64
            boxes = np.stack([x, y, x + 16 / 96, y + 24 / 64], axis=1)
            clips.append(ClipInstances(class_id, f"clip{class_id}", number, index, boxes, 0))
        parts.append((str(entry.index), clips))
    write_instances(folder, "patch", {}, parts)
    return InstanceTable.open(folder)


@pytest.fixture(scope="session")
def real_clips(real_data: Path) -> list[Path]:
    """A few of the real clips."""
    return [real_data / "clips" / "trimmed" / f"{name}.mp4" for name in REAL_CLIPS]


@pytest.fixture(scope="session")
def real_store(tmp_path_factory: pytest.TempPathFactory, real_clips: list[Path]) -> FrameStore:
    """The real clips, every fifth frame, one shard. Read only."""
    workspace = Workspace.open(tmp_path_factory.mktemp("real"))
    folder = workspace.clips / "trimmed"
    folder.mkdir(parents=True)
    roster = _write_roster(workspace, [Path(shutil.copy(clip, folder)) for clip in real_clips])
    return _build_store(workspace, roster, DecodeSettings(frame_stride=5), threads=2)


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    return _write_clip


@pytest.fixture(scope="session")
def write_roster() -> Callable[..., pa.Table]:
    return _write_roster


@pytest.fixture(scope="session")
def build_store() -> Callable[..., FrameStore]:
    return _build_store
