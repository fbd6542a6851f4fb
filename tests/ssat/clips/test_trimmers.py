import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest

from ssat.clips.failures import ClipFailure
from ssat.clips.trim import TrimSettings
from ssat.clips.trimmers import Trimmers


def _kill_whoever_opens(path: Path, stop: threading.Event) -> None:
    while not stop.wait(0.01):
        for child in psutil.Process().children():
            try:
                if any(file.path == str(path) for file in child.open_files()):
                    child.kill()
            except psutil.Error:
                continue


def test_a_video_that_brings_its_process_down_costs_no_other_clip(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    deadly = make_video("deadly.mp4", frames=300, size=(960, 576))  # long enough to be caught in the act
    harmless = [make_video(f"{number}.mp4", frames=120, size=(640, 384)) for number in range(3)]
    stop = threading.Event()
    killer = threading.Thread(target=_kill_whoever_opens, args=(deadly, stop))
    killer.start()
    trimmers = Trimmers(2)
    settings = TrimSettings(preset="ultrafast")
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(trimmers.trim, path, tmp_path / f"out-{path.name}", settings, 0.0, None)
                for path in [*harmless, deadly]
            ]
            for job in jobs[:-1]:
                assert job.result().n_frames == 120
            with pytest.raises(BrokenProcessPool):
                jobs[-1].result()
    finally:
        stop.set()
        killer.join()
        trimmers.close()


def test_failures_and_results_cross_the_process_border(make_video: Callable[..., Path], tmp_path: Path) -> None:
    others = set(psutil.Process().children())
    trimmers = Trimmers(1)
    try:
        with pytest.raises(ClipFailure, match="too short"):
            trimmers.trim(make_video(frames=30), tmp_path / "no.mp4", TrimSettings(), 0.0, None)
        assert trimmers.trim(make_video(), tmp_path / "clip.mp4", TrimSettings(), 0.0, None).n_frames == 120
    finally:
        trimmers.close()
    assert all(
        child.status() == psutil.STATUS_ZOMBIE or "resource_tracker" in " ".join(child.cmdline())
        for child in set(psutil.Process().children()) - others
    )
