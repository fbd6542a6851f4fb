"""What decoding takes at most: a disk that is full in the middle, pictures that are too large, memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from ssat.clips.roster import load_roster
from ssat.frames import clip as clip_module
from ssat.frames.build import missing_shards, plan_shards
from ssat.frames.clip import ClipJob, spool_clip
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import memory_bytes
from ssat.frames.store import FrameStore
from ssat.frames.verify import verify_shard
from ssat.workspace import Workspace, sha256_of

SETTINGS = DecodeSettings(shard_clips=4)
Collect = Callable[[int], pa.Table]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 700 kB where the frames of a workspace go."""
    folder = tmp_path / "workspace" / "frames"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_during_a_shard_loses_nothing_that_was_finished(
    small_disk: Path, workspace: Workspace, collected: Collect, build_store: Callable[..., FrameStore]
) -> None:
    roster = collected(8)
    with pytest.raises(OSError, match="No space left"):
        build_store(workspace, roster, SETTINGS)
    assert not (small_disk / "manifest.json").exists()
    jobs = plan_shards(workspace, load_roster(workspace), SETTINGS)
    left = missing_shards(jobs)
    assert left
    # What stands there under a shard's name is whole.
    assert {path.name for path in small_disk.glob("shard-*.json")} == {j.sidecar.name for j in jobs if j not in left}
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    store = build_store(workspace, roster, SETTINGS)
    assert [verify_shard(store, position).problems for position in range(2)] == [(), ()]
    assert not (small_disk / ".spool").exists()


def test_a_picture_that_is_too_large_fails_its_clip_alone(
    small_clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_module, "MAX_PIXELS", 96 * 64 - 1)
    job = ClipJob(0, "clip0", small_clips[0], sha256_of(small_clips[0]), 30)
    record = spool_clip(job, SETTINGS, tmp_path).record
    assert record.status == "failed"
    assert "96x64 pixels are more than the 6143" in record.reason


@pytest.mark.real_data
def test_a_task_takes_less_memory_than_it_states(real_data: Path, tmp_path: Path) -> None:
    clips = sorted((real_data / "clips" / "original").glob("0[0-5].*"))
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ssat.frames.clip import ClipJob\n"
        "from ssat.frames.settings import DecodeSettings\n"
        "from ssat.frames.shard import ShardJob, write_shard\n"
        "from ssat.workspace import sha256_of\n"
        "paths = [Path(name) for name in sys.argv[2:]]\n"
        "clips = [ClipJob(n, str(n), path, sha256_of(path), 1) for n, path in enumerate(paths)]\n"
        "write_shard(ShardJob(0, 'k', clips, DecodeSettings(max_frames=30), Path(sys.argv[1])), 2)\n"
        # Not ru_maxrss, in which a child starts with its parent's peak.
        "[peak] = [line for line in open('/proc/self/status') if line.startswith('VmHWM:')]\n"
        "print(int(peak.split()[1]) * 1024)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), *map(str, clips)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < memory_bytes(2)
