"""kill -9 at chosen points of collecting: nothing finished is lost, nothing doubled, nothing half can be read."""

import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ssat.clips.collector import Collector
from ssat.clips.roster import load_roster
from ssat.clips.run_facts import describe_status
from ssat.clips.settings import CollectSettings
from ssat.clips.status import load_status
from ssat.errors import WorkspaceError
from ssat.workspace import Workspace, sha256_of

pytestmark = pytest.mark.slow

# What the child does just before or after a step of its work: it kills itself.
POINTS = {
    "trimming": "after(Trimmers, '_current', 3)",
    "trimmed, no row yet": "after(Attempts, '_fetched_and_trimmed', 3)",
    "row being written": "torn_row(3)",
    "part written, not renamed": "before(status, '_without_doubles', 2)",
    "part renamed, journal still there": "before_unlink('journal.jsonl')",
    "roster written, not renamed": "before_replace('roster.parquet')",
    "member half written": "after(tar, '_write', 3)",
}
# A process that has everything imported and forks a child for each line that it is given: the imports take longer than
# the work. The names stand below the guard, or the processes that trim would import them all again.
PROGRAM = """
if __name__ == "__main__":
    import json, os, signal, sys
    from pathlib import Path
    from ssat.clips import status
    from ssat.clips.attempts import Attempts
    from ssat.clips.collector import Collector
    from ssat.clips.download import tool_version
    from ssat.clips.settings import CollectSettings
    from ssat.clips.sources import tar
    from ssat.clips.status import StatusLog
    from ssat.clips.trimmers import Trimmers
    from ssat.workspace import Workspace

    tool_version()

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(owner, name, number, early, late):
        original, calls = getattr(owner, name), [0]
        def wrapped(*args, **kwargs):
            calls[0] += 1
            if calls[0] == number and early:
                early(*args)
            result = original(*args, **kwargs)
            if calls[0] == number and late:
                die()
            return result
        setattr(owner, name, wrapped)

    def after(owner, name, number):
        wrap(owner, name, number, None, True)

    def before(owner, name, number):
        wrap(owner, name, number, lambda *args: die(), None)

    def torn_row(number):
        def tear(log, row):
            with open(log._journal, "a") as file:
                file.write('{"clip_id": "%s", "att' % row.clip_id)
            die()
        wrap(StatusLog, "append", number, tear, None)

    def before_unlink(name):
        original = Path.unlink
        def unlink(path, missing_ok=False):
            if path.name == name and path.exists():
                die()
            original(path, missing_ok=missing_ok)
        Path.unlink = unlink

    def before_replace(name):
        original = Path.replace
        def replace(path, target):
            if Path(target).name == name:
                die()
            return original(path, target)
        Path.replace = replace

    def collect(point, root, source, mirror):
        eval(point)
        settings = CollectSettings(source=source, clips=8, shard_size=4, workers=1, downloads=2, free_gib=0,
                                   mirrors=(mirror,) if mirror else (), mirrors_only=bool(mirror))
        with Collector(Workspace.open(root), settings) as collector:
            while shard := collector.next_shard():
                collector.run_shard(shard)

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                collect(*json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Collectors:
    """Starts a collector at a time in a process of its own."""

    def __init__(self, program: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._parent = subprocess.Popen([sys.executable, str(program)], text=True, **pipes)

    def start(self, *arguments: str) -> int:
        """Start one that breaks off at `arguments[0]`; gives its process id."""
        self._parent.stdin.write(json.dumps(arguments) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def exit_code(self) -> int:
        """Wait for its end."""
        return int(self._parent.stdout.readline())

    def close(self) -> None:
        self._parent.stdin.close()
        self._parent.wait()
        self._parent.stdout.close()


@pytest.fixture(scope="module")
def collectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collectors]:
    path = tmp_path_factory.mktemp("program") / "collect.py"
    path.write_text(PROGRAM)
    started = Collectors(path)
    yield started
    started.close()


@pytest.fixture
def folder(make_video: Callable[..., Path], tmp_path: Path) -> Path:
    for number in range(8):
        make_video(f"{number:02d}.mp4", frames=91 + number, size=(64, 48), folder=tmp_path / "videos")
    return tmp_path / "videos"


def collect(workspace: Workspace, source: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"clips": 8, "shard_size": 4, "workers": 1, "free_gib": 0.0, "source": str(source)}
    with Collector(workspace, CollectSettings(**{**defaults, **settings})) as collector:
        while shard := collector.next_shard():
            collector.run_shard(shard)
        return collector.result()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point(
    point: str, collectors: Collectors, folder: Path, workspace: Workspace, tmp_path: Path
) -> None:
    source, mirror = folder, ""
    if "member" in point:
        source, mirror = tmp_path / "list.csv", str(tmp_path / "a.tar")
        rows = "".join(f"{path.stem},0,10,test\n" for path in sorted(folder.iterdir()))
        source.write_text("youtube_id,time_start,time_end,split\n" + rows)
        with tarfile.open(mirror, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
    collectors.start(POINTS[point], str(workspace.root), str(source), mirror)
    assert collectors.exit_code() == -signal.SIGKILL, "it came to its end without passing the point"

    # What a later stage would read now is whole.
    before = load_roster(workspace) if workspace.roster.is_file() else None
    rows = load_status(workspace).to_pylist()
    assert len({row["clip_id"] for row in rows}) == len(rows)
    for row in rows:
        assert sha256_of(workspace.absolute(row["path"])) == row["sha256"]
    settings = {"mirrors": (mirror,), "mirrors_only": True} if mirror else {}
    result = collect(workspace, source, **settings)
    # Finished clips are not touched again; the others are collected once.
    assert (result.clips, result.attempted) == (8, 8 - len(rows))
    after = load_status(workspace).to_pylist()
    assert len(after) == len({row["clip_id"] for row in after}) == 8
    assert after[: len(rows)] == rows
    roster = load_roster(workspace)
    if before is not None:
        assert roster.slice(0, before.num_rows).equals(before)
    files = {path for path in (workspace.clips / "trimmed").rglob("*") if path.is_file()}
    assert files == {workspace.absolute(path) for path in roster["path"].to_pylist()}
    assert not (workspace.clips / "downloads").exists()


def test_while_one_collects_a_second_is_refused_and_the_status_is_right(
    collectors: Collectors, folder: Path, workspace: Workspace
) -> None:
    # The child stops itself behind a few rows, as if it were slow, and goes on when it is told.
    point = "wrap(StatusLog, 'append', 4, lambda *args: os.kill(os.getpid(), signal.SIGSTOP), None)"
    child = psutil.Process(collectors.start(point, str(workspace.root), str(folder), ""))
    try:
        deadline = time.monotonic() + 240
        while child.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status = describe_status(workspace)
        assert (status.at_work, status.wanted, status.candidates) == (child.pid, 8, 8)
        rows = load_status(workspace).num_rows
        assert 3 <= rows < 8
        assert status.by_class == {"ok": rows}
        assert status.remaining_s > 0
        # Seconds are shown to a tenth, and on a fast machine few of them are left.
        shown = status.remaining_s
        slowest, fastest = (3600 * (8 - rows) / seconds for seconds in (shown + 0.051, max(shown - 0.051, 1e-3)))
        assert slowest <= status.collected_per_hour <= fastest
        with pytest.raises(WorkspaceError, match=f"another collector \\(process {child.pid}\\)"):
            collect(workspace, folder)
        # Looking all the time, no moment shows fewer clips than an earlier one.
        child.resume()
        seen = []
        while child.is_running() and time.monotonic() < deadline:
            seen.append(describe_status(workspace).by_class.get("ok", 0))
    finally:
        if child.is_running():
            child.kill()
        code = collectors.exit_code()
    assert code == 0
    assert seen == sorted(seen)
    status = describe_status(workspace)
    assert (status.by_class, status.clips, status.at_work) == ({"ok": 8}, 8, None)
    assert status.remaining_s == 0
    assert collect(workspace, folder).attempted == 0
