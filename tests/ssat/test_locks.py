import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from ssat.errors import WorkspaceError
from ssat.locks import FolderLock, holder, writing


def _hold(folder: Path, ready: Event) -> None:
    with FolderLock(folder, ""):
        ready.set()
        multiprocessing.Event().wait()


def test_the_second_process_is_refused_by_name_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_hold, args=(folder, ready))
    child.start()
    try:
        assert ready.wait(60)
        assert holder(folder) == child.pid
        with (
            pytest.raises(WorkspaceError, match=f"process {child.pid} is writing this training"),
            writing(folder, "training"),
        ):
            pass
        # A refused try leaves the name of the owner.
        assert holder(folder) == child.pid
    finally:
        child.kill()
        child.join()
    assert holder(folder) is None
    with FolderLock(folder, "busy") as lock:
        assert holder(folder) == os.getpid()
        lock.release()
        assert holder(folder) is None


def test_two_names_are_two_locks(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "busy"), FolderLock(tmp_path, "busy", ".other"):
        assert holder(tmp_path) == holder(tmp_path, ".other") == os.getpid()
        assert holder(tmp_path, ".absent") is None


def test_faults_of_the_disk_are_explained(tmp_path: Path) -> None:
    with (
        pytest.raises(WorkspaceError, match="writing the training stopped: No space left"),
        writing(tmp_path, "training"),
    ):
        raise OSError(28, "No space left on device")
    assert holder(tmp_path) is None
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="file: not writable"):
        FolderLock(tmp_path / "file", "busy").acquire()
