"""The time of association is that of the tracker's calls, and all frames are associated."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssat.mot.sequence import MotSequence
from ssat.pipeline.benchmark_inputs import prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.association_speed import WARM_UP_FRAMES, association_cpu_seconds
from ssat.tracking import Tracker
from ssat.tracking.tracker import Tracks


class Busy(Tracker):
    """Works for a millisecond more in each frame, and sleeps, which is no CPU time."""

    frames = 0

    def update(self, *arguments: object, **options: object) -> Tracks:
        self.frames += 1
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        time.sleep(0.005)
        return super().update(*arguments, **options)  # type: ignore[arg-type]


def test_only_the_work_of_the_tracker_is_counted(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    make_sequence(tmp_path / "MOT", "WALK-01", n_frames=40, pace=0)
    prepared, _ = prepare(BenchmarkSettings(mot=str(tmp_path / "MOT"), split="train", tracker="box", video=False))
    assert isinstance(prepared[0].sequence, MotSequence)
    features = np.ones((len(prepared[0].detections), 4), np.float32) / 2
    plain = association_cpu_seconds(prepared[0], Tracker, features)
    made: list[Busy] = []

    def make() -> Busy:
        made.append(Busy())
        return made[-1]

    seconds = association_cpu_seconds(prepared[0], make, features)
    assert [tracker.frames for tracker in made] == [WARM_UP_FRAMES, 40]
    assert 0 < plain < 0.1
    assert seconds == pytest.approx(plain + 0.04, rel=0.5)
