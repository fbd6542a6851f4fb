"""The instances table of a training, made on real Ray: clips in which a figure walks."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ssat.clips.roster import roster_digest, save_roster
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.build import commit_store, plan_shards
from ssat.frames.instances import MAX_PER_CLIP
from ssat.frames.settings import DecodeSettings
from ssat.frames.shard import write_shard
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace
from tasks.instances import InstanceCounts, instances_of
from tests.tasks.walking_clips import collected, write_walking_clip

SETTINGS = TrainSettings.build(None, {"instances": "patch", "patches_per_clip": 4, "held_out_clips": 0})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three clips; the second is too short to follow anything in."""
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"clip{number}.mp4" for number in range(3)]
    for number, path in enumerate(paths):
        write_walking_clip(path, number, frames=8 if number == 1 else 45)
    return paths


def decoded(workspace: Workspace, roster: pa.Table) -> FrameStore:
    """The frame store of the roster's clips, every fifth frame, two clips in a shard."""
    settings = DecodeSettings(frame_stride=5, shard_clips=2)
    jobs = plan_shards(workspace, roster, settings)
    for job in jobs:
        write_shard(job, 1)
    finished = [done for job in jobs if (done := job.finished())]
    commit_store(workspace.frames, settings, roster_digest(roster), finished)
    return FrameStore.open(workspace.frames)


def test_whole_clips_need_no_table(workspace: Workspace, clips: list[Path]) -> None:
    store = decoded(workspace, collected(workspace, clips[:2]))
    assert instances_of(workspace, TrainSettings.build("quick"), store) is None


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_a_table_is_made_once_and_grows_with_the_clips(workspace: Workspace, clips: list[Path]) -> None:
    store = decoded(workspace, collected(workspace, clips[:2]))
    table = instances_of(workspace, SETTINGS, store)
    assert table is not None
    counts = InstanceCounts.of(table)
    assert (counts.clips, counts.without, counts.unreadable) == (2, 1, 0)
    assert 2 <= counts.instances <= 4
    assert 0 < counts.moving <= counts.instances
    part = table.part(0)
    assert sorted(set(part.class_id.tolist())) == list(range(counts.instances)), "of the first clip alone"
    assert len(part.class_id) == counts.boxes
    assert {part.frame_index(int(frame)) % 5 for frame in part.frames} == {0}, "boxes lie in stored frames"

    # The same clips: nothing is followed again, for the clips themselves are not needed.
    kept = {path: path.stat().st_mtime_ns for path in table.folder.iterdir()}  # type: ignore[attr-defined]
    away = workspace.clips / "away"
    (workspace.clips / "trimmed").rename(away)
    again = instances_of(workspace, SETTINGS, store)
    assert again is not None
    assert again.digest == table.digest
    assert {path: path.stat().st_mtime_ns for path in again.folder.iterdir()} == kept  # type: ignore[attr-defined]
    away.rename(workspace.clips / "trimmed")

    # One clip more: the classes before stay as they are.
    grown = instances_of(workspace, SETTINGS, decoded(workspace, collected(workspace, clips)))
    assert grown is not None
    np.testing.assert_array_equal(grown.part(0).boxes, part.boxes)
    assert InstanceCounts.of(grown).clips == 3
    assert set(grown.part(1).class_id // MAX_PER_CLIP) == {2}


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_an_unreadable_clip_is_counted_and_tried_again(workspace: Workspace, clips: list[Path]) -> None:
    store = decoded(workspace, collected(workspace, clips[:1]))
    clip = workspace.clips / "trimmed" / clips[0].name
    clip.write_bytes(b"no video")
    table = instances_of(workspace, SETTINGS, store)
    assert table is not None
    assert (InstanceCounts.of(table).unreadable, InstanceCounts.of(table).instances) == (1, 0)
    shutil.copy(clips[0], clip)
    mended = instances_of(workspace, SETTINGS, store)
    assert mended is not None
    assert InstanceCounts.of(mended).unreadable == 0
    assert InstanceCounts.of(mended).instances >= 2


def test_a_clip_that_changed_since_its_frames_were_stored_is_refused(workspace: Workspace, clips: list[Path]) -> None:
    roster = collected(workspace, clips[:1])
    store = decoded(workspace, roster)
    changed = roster.set_column(roster.column_names.index("sha256"), "sha256", pa.array(["0" * 64]))
    save_roster(workspace, changed, {})
    with pytest.raises(InputError, match="clip clip0 changed since its frames were stored"):
        instances_of(workspace, SETTINGS, store)
