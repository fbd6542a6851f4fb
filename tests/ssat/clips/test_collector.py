import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssat.clips.collector import Collector
from ssat.clips.lists import candidate_key
from ssat.clips.roster import load_roster
from ssat.clips.settings import CollectSettings
from ssat.clips.status import load_status
from ssat.errors import InputError, WorkspaceError
from ssat.json_values import json_values
from ssat.workspace import Workspace, sha256_of

pytestmark = pytest.mark.slow

HEADER = "youtube_id,time_start,time_end,split\n"


def collect(workspace: Workspace, source: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"clips": 100, "backoff_seconds": 0.0, "workers": 1}
    with Collector(workspace, CollectSettings(**{**defaults, "source": str(source), **settings})) as collector:
        while shard := collector.next_shard():
            collector.run_shard(shard)
        return collector.result()


@pytest.fixture
def folder(make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """12 small different videos, which are copied, not encoded."""
    for number in range(12):
        make_video(f"{number:02d}.mp4", frames=91 + number, size=(64, 48), folder=tmp_path / "videos")
    return tmp_path / "videos"


def _csv(tmp_path: Path, *clip_ids: str, span: str = "0,10") -> Path:
    path = tmp_path / "list.csv"
    path.write_text(HEADER + "".join(f"{clip_id},{span},test\n" for clip_id in clip_ids))
    return path


def _expected_order(seed: int, clip_ids: list[str]) -> list[str]:
    return sorted(clip_ids, key=lambda clip_id: candidate_key(seed, clip_id))


def test_ranks_follow_the_candidate_order_and_grow_by_appending(folder: Path, workspace: Workspace) -> None:
    order = _expected_order(3, [f"{number:02d}" for number in range(12)])
    small = collect(workspace, folder, seed=3, clips=5)
    first = load_roster(workspace)
    assert small.clips == small.attempted == 5
    assert first["clip_id"].to_pylist() == order[:5]
    grown = collect(workspace, folder, seed=3, clips=100)
    roster = load_roster(workspace)
    assert (grown.clips, grown.attempted, grown.left) == (12, 7, 0)
    assert roster["clip_id"].to_pylist() == order
    assert roster.slice(0, 5).equals(first)
    for row in roster.to_pylist():
        path = workspace.absolute(row["path"])
        assert sha256_of(path) == row["sha256"]
        assert path.stat().st_size == row["bytes"]
        assert row["n_frames"] == 91 + int(row["clip_id"])
    again = collect(workspace, folder, seed=3)
    assert (again.attempted, again.clips) == (0, 12)


def test_ranks_do_not_depend_on_how_much_runs_at_the_same_time(folder: Path, tmp_path: Path) -> None:
    rosters = []
    for name, settings in (("one", {"downloads": 1, "shard_size": 3}), ("many", {"downloads": 8, "workers": 1})):
        workspace = Workspace.open(tmp_path / name)
        (folder / "broken.mp4").write_text("no video")
        collect(workspace, folder, clips=9, **settings)
        rosters.append(load_roster(workspace))
    assert rosters[0].equals(rosters[1])


def test_one_bad_clip_never_stops_the_others(
    make_video: Callable[..., Path], make_sound: Callable[..., Path], site: Any, workspace: Workspace, tmp_path: Path
) -> None:
    for number in range(4):
        site.add(make_video(f"good{number}.mp4", frames=400, tint=40 * number))
    site.add(make_video("short.mp4", frames=60))
    site.add(make_sound("sound.mp4"))
    (site.folder / "text.mp4").write_text("no video\n" * 100)
    (site.folder / "zero.mp4").touch()
    whole = (site.folder / "good0.mp4").read_bytes()
    (site.folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    bad = ("short", "sound", "text", "zero", "cut", "absent")
    source = _csv(tmp_path, *(f"good{number}" for number in range(4)), *bad, span="3,13")
    result = collect(workspace, source, url_template=f"{site.url}/{{clip_id}}.mp4")
    assert result.by_class == {"ok": 4, "GONE": 1, "MEDIA": 5}
    assert (result.clips, result.left, result.stopped) == (4, 0, "")
    assert set(load_roster(workspace)["n_frames"].to_pylist()) == {300}
    rows = load_status(workspace).to_pylist()
    outcomes = {row["clip_id"]: (row["attempt"], row["status"], row["error_class"]) for row in rows}
    assert outcomes["absent"] == (1, "gone", "GONE")
    for name in ("short", "sound", "text", "zero", "cut"):
        assert outcomes[name] == (2, "dead", "MEDIA"), "fetched once more, then given up"
    messages = {row["clip_id"]: row["error_message"] for row in rows if row["error_message"]}
    assert "no video stream, only sound" in messages["sound"]
    assert "too short" in messages["short"]
    assert next(row["http_status"] for row in rows if row["clip_id"] == "absent") == 404
    before = site.requests.total()
    assert collect(workspace, source, url_template=f"{site.url}/{{clip_id}}.mp4").attempted == 0
    assert site.requests.total() == before
    # The dead letter goes out again when asked; the tombstone does not.
    site.add(make_video("short.mp4", frames=300))
    again = collect(workspace, source, url_template=f"{site.url}/{{clip_id}}.mp4", retry_dead=True)
    assert again.by_class == {"ok": 5, "GONE": 1, "MEDIA": 4}
    assert load_roster(workspace)["clip_id"].to_pylist()[4] == "short"
    assert not (workspace.clips / "downloads").exists()


def test_a_short_read_is_tried_three_times(
    make_video: Callable[..., Path], site: Any, workspace: Workspace, tmp_path: Path
) -> None:
    for number in range(3):
        site.add(make_video(f"v{number}.mp4", tint=40 * number))
    # Each attempt asks twice: once what it is, once for the content.
    site.fail = {"v1.mp4": 3, "v2.mp4": 99}
    source = _csv(tmp_path, "v0", "v1", "v2")
    result = collect(workspace, source, url_template=f"{site.url}/{{clip_id}}.mp4", downloads=1)
    assert result.by_class == {"ok": 2, "NET": 1}
    rows = [(r["clip_id"], r["attempt"], r["status"]) for r in load_status(workspace).to_pylist()]
    assert [row[1:] for row in rows if row[0] == "v1"] == [(1, "failed"), (2, "ok")]
    assert [row[1:] for row in rows if row[0] == "v2"] == [(1, "failed"), (2, "failed"), (3, "dead")]


def test_too_many_requests_open_the_breaker_and_cost_no_attempt(
    make_video: Callable[..., Path], site: Any, workspace: Workspace, tmp_path: Path
) -> None:
    source = _csv(tmp_path, "a", "b", "c")
    limited = {"url_template": f"{site.url}/status/429/{{clip_id}}.mp4", "downloads": 1}
    result = collect(workspace, source, **limited)
    assert "too many requests" in result.stopped
    assert result.by_class == {"waiting": 1}
    assert [(r["attempt"], r["status"], r["error_class"]) for r in load_status(workspace).to_pylist()] == [
        (0, "waiting", "RATE")
    ]
    asked = site.requests.total()
    for name in "abc":
        site.add(make_video(f"{name}.mp4", tint=ord(name)))
    good = {"url_template": f"{site.url}/{{clip_id}}.mp4"}
    # Still closed, also to a new run and another address; nothing is asked of the server.
    assert "downloads pause until" in collect(workspace, source, **good).stopped
    assert site.requests.total() == asked
    (workspace.clips / "breaker.json").write_text('{"opened": 0, "seconds": 1, "reason": ""}')
    assert collect(workspace, source, **good).clips == 3


@pytest.mark.parametrize(("code", "error_class", "attempts"), [(403, "TOOL", 1), (500, "NET", 3)])
def test_when_every_clip_fails_alike_the_collector_stops_and_says_so(
    make_video: Callable[..., Path],
    site: Any,
    workspace: Workspace,
    tmp_path: Path,
    code: int,
    error_class: str,
    attempts: int,
) -> None:
    names = [f"v{number}" for number in range(20)]
    source = _csv(tmp_path, *names)
    broken = {"url_template": f"{site.url}/status/{code}/{{clip_id}}.mp4", "downloads": 2, "stop_after": 3}
    result = collect(workspace, source, **broken)
    assert result.stopped.startswith(f"stopped: 3 clips failed alike and none succeeded ({error_class}: ")
    # A clip whose attempts were broken off by the stop is waiting too, and does not count as attempted.
    assert set(result.by_class) == {"waiting"}
    assert 3 <= result.attempted <= result.by_class["waiting"] <= 4
    assert max(row["attempt"] for row in load_status(workspace).to_pylist()) == attempts
    # When it is repaired all of them are collected, in their order.
    for number, name in enumerate(names):
        site.add(make_video(f"{name}.mp4", frames=91 + number, size=(64, 48)))
    assert collect(workspace, source, url_template=f"{site.url}/{{clip_id}}.mp4").clips == 20
    assert load_roster(workspace)["clip_id"].to_pylist() == _expected_order(0, names)


def test_a_list_of_many_servers_goes_on_when_one_is_dead(
    make_video: Callable[..., Path], site: Any, workspace: Workspace, tmp_path: Path
) -> None:
    for number in range(3):
        site.add(make_video(f"v{number}.mp4", tint=40 * number))
    source = tmp_path / "urls.txt"
    dead = [f"http://127.0.0.1:1/{number}.mp4" for number in range(6)]
    source.write_text("\n".join([*dead, *(f"{site.url}/v{number}.mp4" for number in range(3))]))
    result = collect(workspace, source, stop_after=2)
    assert (result.by_class, result.stopped) == ({"ok": 3, "NET": 6}, "")
    assert result.clips == 3


@pytest.mark.real_data
def test_a_killed_collector_loses_no_finished_clip_and_doubles_none(
    real_data: Path, workspace: Workspace, tmp_path: Path
) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    for number in range(12):
        shutil.copy(real_data / "clips" / "trimmed" / f"{number:04d}.mp4", source)
    program = tmp_path / "collect.py"
    program.write_text(
        "if __name__ == '__main__':\n"  # below it, or the process that trims would import it all again
        "    import sys\n"
        "    from ssat.clips.collector import Collector\n"
        "    from ssat.clips.settings import CollectSettings\n"
        "    from ssat.workspace import Workspace\n"
        "    settings = CollectSettings(source=sys.argv[2], clips=12, workers=1, downloads=2)\n"
        "    with Collector(Workspace.open(sys.argv[1]), settings) as collector:\n"
        "        while shard := collector.next_shard():\n"
        "            collector.run_shard(shard)\n"
    )
    journal = workspace.clips / "status" / "journal.jsonl"
    with subprocess.Popen([sys.executable, str(program), str(workspace.root), str(source)]) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_text().count("\n") >= 3:
                break
            time.sleep(0.02)
        assert process.poll() is None, "it finished before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
    finished = {row["clip_id"]: row for row in load_status(workspace).to_pylist()}
    assert 3 <= len(finished) < 12
    result = collect(workspace, source, clips=12)
    assert result.clips == 12
    assert result.attempted == 12 - len(finished)
    rows = load_status(workspace).to_pylist()
    assert len(rows) == 12
    assert all(row == finished.get(row["clip_id"], row) for row in rows)
    assert load_roster(workspace)["clip_id"].to_pylist() == _expected_order(0, [row["clip_id"] for row in rows])
    assert [path.name for path in (workspace.clips / "trimmed").rglob("*") if "partial" in path.name] == []


def test_a_lost_or_damaged_file_is_collected_again_under_its_rank(folder: Path, workspace: Workspace) -> None:
    collect(workspace, folder, clips=6)
    before = load_roster(workspace)
    lost, cut = (workspace.absolute(before["path"][rank].as_py()) for rank in (1, 4))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    result = collect(workspace, folder, clips=6)
    assert result.attempted == 2
    assert load_roster(workspace).equals(before)
    assert sha256_of(lost) == before["sha256"][1].as_py()
    assert sha256_of(cut) == before["sha256"][4].as_py()


def test_the_same_content_under_two_names_is_one_class(folder: Path, workspace: Workspace) -> None:
    (folder / "copy.mp4").write_bytes((folder / "03.mp4").read_bytes())
    result = collect(workspace, folder)
    assert (result.clips, result.by_class) == (12, {"ok": 12, "MEDIA": 1})
    twins = [row for row in load_status(workspace).to_pylist() if row["status"] == "dead"]
    assert len(twins) == 1
    assert "the same content as clip" in twins[0]["error_message"]
    assert {twins[0]["clip_id"]} < {"copy", "03"}


def test_a_folder_tells_what_it_left_out_and_takes_names_that_are_not_utf_8(folder: Path, workspace: Workspace) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4"))
    (folder / "03.mp4").rename(odd)
    (folder / "notes.txt").touch()
    result = collect(workspace, folder)
    assert result.by_class == {"ok": 12}
    assert (result.rejected, result.skipped) == (0, 1)
    assert result.skipped_files[0].group.reason == "not a video by the suffix: 1 .txt"
    assert result.skipped_files[0].folder == str(folder)
    json.dumps(json_values(result)).encode()
    assert str(folder / "caf\\xe9.mp4") in load_status(workspace)["source"].to_pylist()


def test_another_seed_or_cut_is_refused_in_a_used_workspace(folder: Path, workspace: Workspace) -> None:
    collect(workspace, folder, clips=2)
    with pytest.raises(InputError, match="collected with seed = 0, now 1 is set"):
        collect(workspace, folder, clips=3, seed=1)
    with pytest.raises(InputError, match=r"clip_seconds = 10\.0, now 5\.0"):
        collect(workspace, folder, clips=3, clip_seconds=5.0)


def test_another_folder_with_the_same_names_is_refused(
    folder: Path, workspace: Workspace, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    collect(workspace, folder, clips=12)
    make_video("00.mp4", folder=tmp_path / "other")
    with pytest.raises(InputError, match="clip 00: this workspace has it from"):
        collect(workspace, tmp_path / "other")
    folder.rename(tmp_path / "moved")
    assert collect(workspace, tmp_path / "moved").attempted == 0


def test_two_collectors_do_not_share_a_workspace(folder: Path, workspace: Workspace) -> None:
    settings = CollectSettings(source=str(folder))
    with Collector(workspace, settings), pytest.raises(WorkspaceError, match=f"another collector.*{os.getpid()}"):
        collect(workspace, folder)
    assert collect(workspace, folder, clips=1).clips == 1


def test_no_source_and_a_workspace_that_is_not_writable(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no source given"):
        Collector(workspace, CollectSettings())
    workspace.clips.write_text("a file where the folder has to be")
    with pytest.raises(WorkspaceError, match="clips: not writable"):
        collect(workspace, folder)


def test_a_file_that_vanishes_costs_itself_alone_and_a_broken_workspace_stops(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "one")
    with Collector(workspace, CollectSettings(source=str(folder), workers=1)) as collector:
        (folder / "05.mp4").unlink()
        while shard := collector.next_shard():
            collector.run_shard(shard)
        assert collector.result().by_class == {"ok": 11, "MEDIA": 1}
    other = Workspace.open(tmp_path / "two")
    other.clips.mkdir()
    (other.clips / "trimmed").write_text("a file where the folder has to be")
    with pytest.raises(WorkspaceError, match="collecting stopped"):
        collect(other, folder)
