"""Decode and verify with a real Prefect server and a real Ray: interrupted, damaged, repaired."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pyarrow as pa
import pytest

from flows.stage_flow import run_stage
from flows.stages.decode import STAGE as DECODE
from flows.stages.verify import STAGE as VERIFY
from flows.stages.verify import StoreCheck
from ssat.clips.roster import ROSTER_SCHEMA, save_roster
from ssat.errors import InputError, WorkspaceError
from ssat.frames.settings import DecodeSettings, VerifySettings
from ssat.frames.store import FrameStore
from ssat.locks import writing
from ssat.workspace import Workspace, sha256_of

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server", "ray_cluster")]
SETTINGS = DecodeSettings(shard_clips=2)


def _verified(workspace: Workspace, **settings: float | bool) -> StoreCheck:
    return run_stage(VERIFY, str(workspace.root), VerifySettings.model_validate(settings))


def collect(workspace: Workspace, clips: int, frames: int = 12, size: tuple[int, int] = (96, 64)) -> None:
    """A roster of generated clips."""
    folder = workspace.clips / "trimmed"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for rank in range(clips):
        path = folder / f"clip{rank}.mp4"
        if not path.exists():
            random = np.random.default_rng(rank)
            width, height = size
            base = np.kron(random.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            with av.open(str(path), "w") as container:
                stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                for i in range(frames):
                    frame = av.VideoFrame.from_ndarray(np.roll(base, 2 * i, axis=1), "rgb24")
                    frame.pts, frame.time_base = i, Fraction(1, 25)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        facts = (rank, f"clip{rank}", workspace.relative(path), sha256_of(path), *size, 25.0, frames, frames / 25)
        rows.append(dict(zip(ROSTER_SCHEMA.names, (*facts, path.stat().st_size), strict=True)))
    save_roster(workspace, pa.Table.from_pylist(rows, schema=ROSTER_SCHEMA), {})


def test_decode_again_grow_break_and_repair(workspace: Workspace) -> None:
    collect(workspace, 3)
    first = run_stage(DECODE, str(workspace.root), SETTINGS)
    assert (first.clips, first.frames, first.shards, first.written_shards) == (3, 36, 2, 2)
    again = run_stage(DECODE, str(workspace.root), SETTINGS)
    assert (again.written_shards, again.digest) == (0, first.digest)
    files = {path: path.read_bytes() for path in workspace.frames.rglob("*") if path.is_file()}
    dry = run_stage(DECODE, str(workspace.root), SETTINGS.model_copy(update={"dry_writer": True}))
    assert (dry.clips, dry.frames, dry.shards) == (3, 36, 2)
    assert {path: path.read_bytes() for path in workspace.frames.rglob("*") if path.is_file()} == files

    collect(workspace, 5)
    (workspace.clips / "trimmed" / "clip4.mp4").unlink()
    grown = run_stage(DECODE, str(workspace.root), SETTINGS)
    assert (grown.clips, grown.shards, grown.written_shards, grown.failed) == (4, 3, 2, 1)
    assert grown.failures[0].clip_id == "clip4"

    sound = _verified(workspace)
    assert (sound.broken, sound.jpegs_decoded, sound.rows) == ((), 48, 48)
    store = FrameStore.open(workspace.frames)
    path = workspace.frames / store.manifest.shards[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    broken = _verified(workspace, sample=0.0)
    assert [shard.index for shard in broken.broken] == [0]
    clip = workspace.clips / "trimmed" / "clip0.mp4"
    clip.rename(clip.with_suffix(".away"))
    with pytest.raises(InputError, match=r"clip0\.mp4: missing or changed.*ssat collect"):
        _verified(workspace, sample=0.0, repair=True)
    clip.with_suffix(".away").rename(clip)
    repaired = _verified(workspace, sample=0.0, repair=True)
    assert repaired.repaired == (0,)
    assert not repaired.digest_changed
    assert path.read_bytes() == whole

    assert not _verified(workspace, sample=0.0).outdated
    store.manifest.model_copy(update={"schema_version": 1}).save(workspace.frames)
    older = _verified(workspace, sample=0.0)
    assert (older.broken, older.schema_version) == ((), 1)
    assert "collect the clips again" in older.outdated
    path.write_bytes(whole[:1000])
    with pytest.raises(InputError, match=r"earlier version is not repaired; run `ssat decode`"):
        _verified(workspace, sample=0.0, repair=True)


def test_a_killed_worker_is_replaced_and_the_bytes_are_the_same(workspace: Workspace, tmp_path: Path) -> None:
    settings = DecodeSettings(shard_clips=6)
    collect(workspace, 6, frames=250, size=(640, 480))
    killed: list[int] = []

    def kill_a_worker() -> None:
        until = time.monotonic() + 240
        while time.monotonic() < until and not killed:
            if any((workspace.frames / ".spool").glob("*/*.json")):  # at least one clip is done, others are not
                for process in psutil.Process().children(recursive=True):
                    if "_write_shard" in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    result = run_stage(DECODE, str(workspace.root), settings)
    killer.join()
    assert killed
    assert (result.clips, result.failed, result.frames) == (6, 0, 1500)

    from ssat.clips.roster import load_roster
    from ssat.frames.build import plan_shards
    from ssat.frames.shard import write_shard

    other = Workspace(workspace.root)
    (job,) = plan_shards(other, load_roster(other), settings)
    job.folder = tmp_path
    assert write_shard(job)[0] == FrameStore.open(workspace.frames).manifest.shards[0]


def test_a_workspace_without_clips_or_with_none_that_decodes(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="run `ssat collect` first"):
        run_stage(DECODE, str(workspace.root), SETTINGS)
    collect(workspace, 1)
    (workspace.clips / "trimmed" / "clip0.mp4").unlink()
    with pytest.raises(InputError, match="none of the 1 clips can be decoded; the first, clip0: cannot be read"):
        run_stage(DECODE, str(workspace.root), SETTINGS)


def test_one_writer_at_a_time(workspace: Workspace) -> None:
    collect(workspace, 1)
    with writing(workspace.frames), pytest.raises(WorkspaceError, match="is writing this frame store"):
        run_stage(DECODE, str(workspace.root), SETTINGS)


def test_a_store_of_a_later_version_is_not_replaced(workspace: Workspace) -> None:
    collect(workspace, 1)
    workspace.frames.mkdir()
    (workspace.frames / "manifest.json").write_text('{"store_version": 1, "schema_version": 99}')
    (workspace.frames / "shard-00000-later.parquet").write_bytes(b"of a later version")
    with pytest.raises(InputError, match="schema_version 99 is newer than this ssat knows"):
        run_stage(DECODE, str(workspace.root), SETTINGS)
    assert (workspace.frames / "shard-00000-later.parquet").read_bytes() == b"of a later version"


def test_a_disk_that_is_full_when_the_store_is_committed_says_so(workspace: Workspace) -> None:
    collect(workspace, 1)
    workspace.frames.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(workspace.frames)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs privileges")
    try:
        with pytest.raises(WorkspaceError, match="No space left"):
            run_stage(DECODE, str(workspace.root), SETTINGS)
        subprocess.run(["mount", "-o", "remount,size=9m", str(workspace.frames)], check=True)
        assert run_stage(DECODE, str(workspace.root), SETTINGS).clips == 1
    finally:
        subprocess.run(["umount", "-l", str(workspace.frames)], check=True)


# As root a folder without the right to write is written all the same, unless this capability is given up.
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def _obey_permissions() -> None:
    if os.geteuid() == 0:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def test_a_store_without_the_right_to_write_is_verified(workspace: Workspace) -> None:
    collect(workspace, 3)
    run_stage(DECODE, str(workspace.root), SETTINGS)
    shard = workspace.frames / FrameStore.open(workspace.frames).manifest.shards[1].path
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    folders = [workspace.root, *(path for path in workspace.root.rglob("*") if path.is_dir())]
    before = sorted(str(path) for path in workspace.root.rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "RAY_"))}

    def ssat(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("ssat"), *arguments, "--workspace", workspace.root],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=_obey_permissions,
        )

    try:
        checked = ssat("verify", "--json")
        assert checked.returncode == 1, checked.stderr
        result = json.loads(checked.stdout.splitlines()[-1])
        assert (result["shards"], [broken["index"] for broken in result["broken"]]) == (2, [1])
        refused = ssat("verify", "--repair")
        assert refused.returncode == 2
        assert "not writable" in refused.stderr
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(str(path) for path in workspace.root.rglob("*")) == before
