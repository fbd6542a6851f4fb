"""The frame store in an object store, against a real server."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ssat.clips.roster import load_roster, roster_digest, save_roster
from ssat.errors import InputError, WorkspaceError
from ssat.frames.build import commit_store, missing_shards, plan_shards
from ssat.frames.sampler import FrameSampler
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import dry_shard, write_shard
from ssat.frames.store import FrameStore
from ssat.frames.verify import verify_shard
from ssat.remote import RemotePath
from ssat.workspace import Workspace, committed, sha256_of

pytestmark = pytest.mark.slow

SETTINGS = DecodeSettings(shard_clips=4)
Collect = Callable[[int], pa.Table]
Build = Callable[..., FrameStore]


def upload(local: Workspace, remote: Workspace, roster: pa.Table) -> None:
    """As `aws s3 sync` does: the clips, and the roster last."""
    for path in roster["path"].to_pylist():
        target = remote.located([path])[0]
        assert isinstance(target, RemotePath)
        target.upload(local.absolute(path))
    save_roster(remote, roster, {})


def build(workspace: Workspace) -> FrameStore:
    roster = load_roster(workspace)
    jobs = plan_shards(workspace, roster, SETTINGS)
    for job in missing_shards(jobs):
        write_shard(job, 2)
    finished = [done for job in jobs if (done := job.finished())]
    commit_store(workspace.frames, SETTINGS, roster_digest(roster), finished)
    return FrameStore.open(str(workspace.frames))


@pytest.mark.usefixtures("object_store")
def test_a_store_in_an_object_store_is_the_local_one(
    workspace: Workspace, collected: Collect, build_store: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSAT_SCRATCH", str(tmp_path / "scratch"))
    remote = Workspace.open("s3://bucket/experiment", objects=True)
    assert remote.root.is_relative_to(tmp_path / "scratch")
    small, grown = collected(6), None
    upload(workspace, remote, small)
    first = build(remote)
    shards = [entry.path for entry in first.manifest.shards]
    # Growing leaves the full shard alone and replaces the unfilled one.
    grown = collected(10)
    upload(workspace, remote, grown)
    store = build(remote)
    assert store.manifest.shards[0].path == shards[0]
    assert isinstance(remote.frames, RemotePath)
    names = {path.name for path in remote.frames.glob("*")}
    assert shards[1] not in names
    local = build_store(workspace, grown, SETTINGS)
    assert store.digest == local.digest
    for entry in local.manifest.shards:
        assert sha256_of(remote.frames / entry.path) == sha256_of(workspace.frames / entry.path)
    assert names == {"manifest.json", "clips.parquet"} | {
        name for entry in local.manifest.shards for name in (entry.path, entry.path.replace(".parquet", ".json"))
    }
    assert [verify_shard(store, position).problems for position in range(3)] == [(), (), ()]

    # What trains reads the same batches, also in another process.
    samplers = [
        FrameSampler(one, class_ids=range(10), batch_size=16, crop=32, short_side=64, workers=2)
        for one in (pickle.loads(pickle.dumps(store)), local)  # noqa: S301 - our own
    ]
    for (images, labels), (expected, expected_labels) in zip(*(s.epoch(0) for s in samplers), strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, expected_labels)
    assert dry_shard(plan_shards(remote, load_roster(remote), SETTINGS)[0]) == 135

    # A damaged, a missing and a truncated object are found; decoding the shard again mends them.
    entry = store.manifest.shards[1]
    damaged = bytearray((remote.frames / entry.path).read_bytes())
    damaged[5000] ^= 1
    with committed(remote.frames / entry.path) as temporary:
        temporary.write_bytes(bytes(damaged))
    assert "SHA-256" in " ".join(verify_shard(store, 1).problems)
    with committed(remote.frames / entry.path) as temporary:
        temporary.write_bytes(bytes(damaged[:-100]))
    assert "truncated or changed" in " ".join(verify_shard(store, 1).problems)
    (remote.frames / entry.path).unlink()
    assert "the shard is missing" in " ".join(verify_shard(store, 1).problems)
    assert build(remote).digest == local.digest
    assert verify_shard(FrameStore.open(remote.frames), 1).problems == ()

    # A clip that is lost there is a failed clip, not a failed store.
    gone = remote.located([grown["path"][9].as_py()])[0]
    gone.unlink()
    (remote.frames / store.manifest.shards[2].path).unlink()
    assert build(remote).clips["reason"].to_pylist()[9].startswith("cannot be read")


@pytest.mark.usefixtures("object_store")
def test_what_is_no_bucket_or_holds_a_secret_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSAT_SCRATCH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="s3://nobucket/x: no bucket nobucket"):
        Workspace.open("s3://nobucket/x", objects=True)
    with pytest.raises(InputError, match="this needs a folder of a file system"):
        Workspace.open("s3://bucket/x")
    with pytest.raises(InputError, match="AWS_ACCESS_KEY_ID") as caught:
        Workspace.open("s3://KEY:HUSHHUSH@bucket/x", objects=True)
    assert "HUSHHUSH" not in str(caught.value)
    for address in ("s3://", "s3://bucket/../other"):
        with pytest.raises(InputError, match="expected s3://BUCKET/FOLDER"):
            Workspace.open(address, objects=True)
    with pytest.raises(InputError, match=r"s3://bucket/x/frames/manifest\.json: no frame store here"):
        FrameStore.open("s3://bucket/x/frames")
    with pytest.raises(InputError, match="no clips were collected"):
        load_roster(Workspace.open("s3://bucket/x", objects=True))
