import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ssat.errors import InputError, WorkspaceError
from ssat.frames.build import missing_shards, plan_shards
from ssat.frames.manifest import Manifest
from ssat.frames.settings import DecodeSettings
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace

Collect = Callable[[int], pa.Table]
Build = Callable[..., FrameStore]
WriteRoster = Callable[[Workspace, list[Path]], pa.Table]
WriteClip = Callable[..., Path]
SETTINGS = DecodeSettings(shard_clips=3)


def names(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.frames.iterdir()}


def test_growing_keeps_finished_shards_and_replaces_the_unfilled_one(
    workspace: Workspace, collected: Collect, build_store: Build
) -> None:
    small = build_store(workspace, collected(5), SETTINGS)
    assert [(entry.first_class_id, entry.last_class_id) for entry in small.manifest.shards] == [(0, 2), (3, 4)]
    first = workspace.frames / small.manifest.shards[0].path
    before = first.stat().st_mtime_ns
    large = build_store(workspace, collected(8), SETTINGS)
    assert first.stat().st_mtime_ns == before
    assert large.manifest.shards[0] == small.manifest.shards[0]
    assert [(entry.first_class_id, entry.last_class_id) for entry in large.manifest.shards] == [(0, 2), (3, 5), (6, 7)]
    assert large.n_clips == 8
    assert small.manifest.shards[1].path not in names(workspace)
    assert large.digest != small.digest


def test_a_store_built_in_steps_is_the_store_built_at_once(
    workspace: Workspace,
    collected: Collect,
    tmp_path: Path,
    small_clips: list[Path],
    build_store: Build,
    write_roster: WriteRoster,
) -> None:
    build_store(workspace, collected(4), SETTINGS)
    grown = build_store(workspace, collected(7), SETTINGS)
    other = Workspace.open(tmp_path / "other")
    (other.clips / "trimmed").mkdir(parents=True)
    roster = write_roster(other, [Path(shutil.copy(clip, other.clips / "trimmed")) for clip in small_clips[:7]])
    assert build_store(other, roster, SETTINGS, threads=2).digest == grown.digest


def test_nothing_is_missing_from_a_finished_store(workspace: Workspace, collected: Collect, build_store: Build) -> None:
    roster = collected(4)
    store = build_store(workspace, roster, SETTINGS)
    assert missing_shards(plan_shards(workspace, roster, SETTINGS)) == []
    other = DecodeSettings(shard_clips=3, quality=80)
    assert len(missing_shards(plan_shards(workspace, roster, other))) == 2
    rebuilt = build_store(workspace, roster, other)
    assert rebuilt.manifest.settings["quality"] == 80
    assert not names(workspace) & {entry.path for entry in store.manifest.shards}


def test_the_number_of_workers_is_no_part_of_the_content(
    workspace: Workspace, collected: Collect, build_store: Build
) -> None:
    roster = collected(2)
    build_store(workspace, roster, SETTINGS)
    assert missing_shards(plan_shards(workspace, roster, SETTINGS.model_copy(update={"workers": 7}))) == []


def test_a_bad_clip_is_recorded_and_the_others_go_on(
    workspace: Workspace, collected: Collect, build_store: Build, write_roster: WriteRoster
) -> None:
    collected(3)
    folder = workspace.clips / "trimmed"
    (folder / "broken.mp4").write_bytes(b"not a video")
    clips = [folder / "clip0.mp4", folder / "broken.mp4", folder / "clip1.mp4"]
    store = build_store(workspace, write_roster(workspace, clips), SETTINGS)
    assert store.n_clips == 2
    assert store.class_ids.tolist() == [0, 2]
    rows = store.clips.to_pylist()
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert "cannot be decoded" in rows[1]["reason"]
    with pytest.raises(InputError, match="no frames of the clip with class id 1"):
        store.read_frames(1)


def test_a_clip_that_comes_back_is_decoded_then(workspace: Workspace, collected: Collect, build_store: Build) -> None:
    roster = collected(3)
    clip = workspace.clips / "trimmed" / "clip1.mp4"
    content = clip.read_bytes()
    clip.unlink()
    assert build_store(workspace, roster, SETTINGS).n_clips == 2
    assert missing_shards(plan_shards(workspace, roster, SETTINGS)) == []
    clip.write_bytes(content)
    assert build_store(workspace, roster, SETTINGS).n_clips == 3


def test_leftovers_go_when_the_manifest_stands(workspace: Workspace, collected: Collect, build_store: Build) -> None:
    workspace.frames.mkdir()
    (workspace.frames / "shard-00009-dead.parquet").write_bytes(b"old")
    (workspace.frames / "shard-00009-dead.json").write_bytes(b"old")
    store = build_store(workspace, collected(1), SETTINGS)
    entry = store.manifest.shards[0].path
    assert names(workspace) == {"manifest.json", "clips.parquet", entry, entry.replace(".parquet", ".json")}


def test_an_interrupted_commit_is_noticed_and_mended(
    workspace: Workspace, collected: Collect, build_store: Build
) -> None:
    build_store(workspace, collected(1), SETTINGS)
    old = (workspace.frames / "manifest.json").read_bytes()
    roster = collected(2)
    digest = build_store(workspace, roster, SETTINGS).digest
    (workspace.frames / "manifest.json").write_bytes(old)  # killed between the clip table and the manifest
    with pytest.raises(InputError, match="does not belong to the manifest"):
        FrameStore.open(workspace.frames)
    assert build_store(workspace, roster, SETTINGS).digest == digest


def test_an_empty_roster_and_a_path_outside_are_refused(
    workspace: Workspace, tmp_path: Path, write_roster: WriteRoster, write_clip: WriteClip
) -> None:
    clip = write_clip(tmp_path / "outside.mp4", 1, frames=2)
    roster = write_roster(Workspace.open(tmp_path), [clip])
    outside = roster.set_column(2, "path", pa.array(["../outside.mp4"]))
    with pytest.raises(WorkspaceError, match="would leave the workspace"):
        plan_shards(workspace, outside, SETTINGS)
    with pytest.raises(InputError, match="roster is empty"):
        plan_shards(workspace, roster.slice(0, 0), SETTINGS)


def test_the_manifest_says_how_the_frames_were_made(
    workspace: Workspace, collected: Collect, build_store: Build
) -> None:
    manifest: Manifest = build_store(workspace, collected(1), SETTINGS).manifest
    assert manifest.settings == SETTINGS.content()
    assert manifest.encoder["quality"] == 90
    assert manifest.encoder["subsampling"] == "4:2:0"
    assert set(manifest.shards[0].tools) == {"av", "simplejpeg", "opencv"}
