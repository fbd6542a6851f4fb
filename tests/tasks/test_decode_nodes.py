"""Decode on a cluster of two real Ray nodes, one of which is killed, into a folder and into an object store."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pyarrow as pa
import pytest

from ssat.clips.roster import ROSTER_SCHEMA, load_roster, save_roster
from ssat.frames.build import plan_shards
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace, sha256_of

pytestmark = pytest.mark.integration
SSAT = [sys.executable, "-c", "from flows.cli import main; main()"]


def write_clips(workspace: Workspace, count: int, frames: int) -> pa.Table:
    """A roster of generated clips of `frames` frames."""
    folder = workspace.clips / "trimmed"
    folder.mkdir(parents=True)
    rows = []
    for rank in range(count):
        path = folder / f"clip{rank}.mp4"
        base = np.random.default_rng(rank).integers(0, 256, (48, 64, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 512, 384, "yuv420p"
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(np.roll(base, 3 * i, axis=1), "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        facts = (rank, f"clip{rank}", workspace.relative(path), sha256_of(path), 512, 384, 25.0, frames, frames / 25)
        rows.append(dict(zip(ROSTER_SCHEMA.names, (*facts, path.stat().st_size), strict=True)))
    table = pa.Table.from_pylist(rows, schema=ROSTER_SCHEMA)
    save_roster(workspace, table, {})
    return table


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def node(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`ray start …` until the block ends, or until it is killed inside."""
    ray = Path(sys.executable).with_name("ray")
    command = [str(ray), "start", *arguments, "--num-cpus=1", "--object-store-memory=100000000", "--block"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a node and all that it started, as when its machine is switched off."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def test_a_killed_node_costs_time_alone(
    prefect_server: str, object_store: dict[str, str], workspace: Workspace, tmp_path: Path
) -> None:
    roster = write_clips(workspace, 6, 150)
    settings = DecodeSettings(shard_clips=3)
    expected = []
    for job in plan_shards(workspace, load_roster(workspace), settings):
        job.folder = tmp_path / "undisturbed"
        expected.append(write_shard(job, 2)[0])

    port = free_port()
    address = f"127.0.0.1:{port}"
    environment = {
        **os.environ,
        **object_store,
        "PREFECT_API_URL": prefect_server,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "RAY_ADDRESS": address,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        # A node that does not answer is given up sooner than on a real network.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "4",
        "SSAT_SCRATCH": str(tmp_path / "scratch"),
        "OMP_NUM_THREADS": "1",
    }
    decode = [*SSAT, "decode", "--preset", "paper", "--shard-clips", "3", "--json", "--workspace"]
    folder = tempfile.mkdtemp(prefix="ssat-nodes-", dir="/tmp")  # sockets need a short path
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        head = [
            "--head",
            f"--port={port}",
            "--node-ip-address=127.0.0.1",
            "--include-dashboard=false",
            f"--temp-dir={folder}",
        ]
        deadline = time.monotonic() + 180
        stack.enter_context(node(head, environment, tmp_path / "head.log"))
        while "Ray runtime started" not in (tmp_path / "head.log").read_text():
            assert time.monotonic() < deadline, (tmp_path / "head.log").read_text()
            time.sleep(0.1)
        second = stack.enter_context(
            node([f"--address={address}", "--node-ip-address=127.0.0.1"], environment, tmp_path / "second.log")
        )
        while "Ray runtime started" not in (tmp_path / "second.log").read_text():
            assert time.monotonic() < deadline, (tmp_path / "second.log").read_text()
            time.sleep(0.1)
        with subprocess.Popen(
            [*decode, str(workspace.root)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as command:
            # The doomed node is at work on a shard, and a clip of each shard is done.
            while not _half_done(second, workspace):
                assert time.monotonic() < deadline + 120
                assert command.poll() is None, command.communicate()
                time.sleep(0.01)
            kill(second)
            out, errors = command.communicate(timeout=240)
        assert command.returncode == 0, errors
        result = json.loads(out.splitlines()[-1])
        assert (result["clips"], result["frames"], result["failed"]) == (6, 900, 0)
        assert FrameStore.open(workspace.frames).manifest.shards == tuple(expected)

        # What is left of the cluster writes the same into an object store.
        remote = Workspace.open("s3://bucket/nodes", objects=True)
        for path in roster["path"].to_pylist():
            remote.located([path])[0].upload(workspace.absolute(path))
        save_roster(remote, roster, {})
        done = subprocess.run(
            [*decode, str(remote.remote)], env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["digest"] == result["digest"]
        assert FrameStore.open(str(remote.frames)).manifest.shards == tuple(expected)
        verify = [*SSAT, "verify", "--sample", "0.05", "--json", "--workspace", str(remote.remote)]
        checked = subprocess.run(verify, env=environment, capture_output=True, text=True, timeout=240)
        assert checked.returncode == 0, checked.stderr
        assert not json.loads(checked.stdout.splitlines()[-1])["broken"]
        for secret in ("test-secret", environment["RAY_AUTH_TOKEN"]):
            assert secret not in done.stdout + done.stderr + checked.stdout + checked.stderr


def _half_done(second: subprocess.Popen[bytes], workspace: Workspace) -> bool:
    try:
        workers = [p for p in psutil.Process(second.pid).children(recursive=True) if "_write_shard" in _title(p)]
    except psutil.NoSuchProcess:
        return False
    # Which node began first is chance: the other's shard may be whole by the time that the doomed one has a clip.
    begun = [folder for folder in workspace.frames.glob(".spool/*") if any(folder.glob("*.json"))]
    whole = list(workspace.frames.glob("shard-*.json"))
    return bool(workers) and len(begun) + len(whole) >= 2 and len(whole) < 2


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
