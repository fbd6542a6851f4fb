import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssat.clips import status as st
from ssat.clips.collector import Collector
from ssat.clips.disk import DiskBudget
from ssat.clips.roster import load_roster
from ssat.clips.rows import StatusRow
from ssat.clips.settings import CollectSettings
from ssat.clips.status import StatusLog, load_status
from ssat.errors import WorkspaceError
from ssat.workspace import Workspace, sha256_of

pytestmark = pytest.mark.slow


def collect(workspace: Workspace, source: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"workers": 1, "min_free_gib": 0.0, "source": str(source)}
    with Collector(workspace, CollectSettings(**{**defaults, **settings})) as collector:
        while shard := collector.next_shard():
            collector.run_shard(shard)
        return collector.result()


def test_a_shard_that_would_not_fit_is_not_begun(
    make_video: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    for number in range(6):
        make_video(f"{number}.mp4", frames=91 + number, size=(64, 48), folder=tmp_path / "videos")
    result = collect(workspace, tmp_path / "videos", min_free_gib=1e6)
    assert "1e+06 GiB have to stay free (setting min_free_gib); make room, then run again" in result.stopped
    assert (result.attempted, result.clips) == (0, 0)
    # Two clips of a megabyte are expected; what two really take is known then.
    result = collect(workspace, tmp_path / "videos", candidates_per_shard=2, max_disk_gib=3e6 / 2**30)
    assert (result.clips, result.stopped) == (6, "")
    taken = sum(path.stat().st_size for path in (workspace.clips / "trimmed").rglob("*.mp4"))
    (tmp_path / "videos" / "5.mp4").replace(tmp_path / "videos" / "6.mp4")
    make_video("5.mp4", frames=200, size=(64, 48), folder=tmp_path / "new")
    other = Workspace.open(tmp_path / "other")
    collect(other, tmp_path / "videos", clips=3)
    result = collect(other, tmp_path / "videos", max_disk_gib=taken * 0.4 / 2**30)
    assert "of the" in result.stopped
    assert "setting max_disk_gib" in result.stopped
    assert result.clips == 3


def test_sizes_are_told(tmp_path: Path) -> None:
    budget = DiskBudget(tmp_path, CollectSettings(max_disk_gib=1.0, min_free_gib=0.0), clips=0, clip_bytes=0)
    assert budget.refusal(900) == ""
    assert "about 1.02 GiB" in budget.refusal(1100)
    budget.add(2**30)
    assert "the clips take 1.00 GiB of the 1 GiB allowed" in budget.refusal(1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 88 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=88k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs privileges")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_with_what_was_finished_and_goes_on_when_there_is_room(
    make_video: Callable[..., Path], small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if somebody else filled the disk after the shard had begun.
    monkeypatch.setattr(DiskBudget, "refusal", lambda *_: "")
    for number in range(6):
        make_video(f"{number}.mp4", frames=150 + number, size=(320, 240), folder=tmp_path / "videos")
    assert sum(path.stat().st_size for path in (tmp_path / "videos").iterdir()) > 88_000
    workspace = Workspace.open(small_disk / "workspace")
    with pytest.raises(WorkspaceError, match=r"collecting stopped: .*No space.*finished clips are kept"):
        collect(workspace, tmp_path / "videos", concurrent_downloads=1)
    assert not list((workspace.clips / "trimmed").rglob("*.partial*"))
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    result = collect(workspace, tmp_path / "videos", concurrent_downloads=1)
    assert 0 < result.attempted < 6
    assert result.clips == 6
    for row in load_roster(workspace).to_pylist():
        assert sha256_of(workspace.absolute(row["path"])) == row["sha256"]


def test_a_disk_that_is_full_to_the_last_byte_is_an_error_and_loses_no_row(
    make_video: Callable[..., Path], small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskBudget, "refusal", lambda *_: "")
    for number in range(6):
        make_video(f"{number}.mp4", frames=91 + number, size=(64, 48), folder=tmp_path / "videos")
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    workspace = Workspace.open(small_disk / "workspace")
    settings = CollectSettings(source=str(tmp_path / "videos"), workers=1, free_gib=0.0, shard_size=2, downloads=1)
    filler = small_disk / "filler"

    def collect_until_full() -> None:
        with Collector(workspace, settings) as collector:
            collector.run_shard(collector.next_shard())
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            while shard := collector.next_shard():
                collector.run_shard(shard)

    with pytest.raises(WorkspaceError, match=r"collecting stopped: .*No space"):
        collect_until_full()
    assert load_roster(workspace).num_rows == 2
    finished = load_status(workspace).num_rows
    filler.unlink()
    result = collect(workspace, tmp_path / "videos")
    assert (result.clips, result.attempted) == (6, 6 - finished)


def test_a_row_that_found_no_room_does_not_spoil_the_next_one(small_disk: Path) -> None:
    workspace = Workspace.open(small_disk)
    log = StatusLog(workspace)

    def row(name: str) -> StatusRow:
        return StatusRow(clip_id=name, attempt=1, status=st.DEAD, started_at=st.now(), error_message="x" * 1000)

    names = []
    with contextlib.suppress(OSError):
        while True:
            log.append(row(f"clip{len(names)}"))
            names.append(f"clip{len(names)}")
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    log.append(row("last"))
    log.commit()
    assert load_status(workspace)["clip_id"].to_pylist() == [*names, "last"]
