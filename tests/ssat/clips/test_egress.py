import threading
import time
from pathlib import Path

import pytest

from ssat.clips import egress
from ssat.clips.egress import Breaker, LocalEgress


def test_a_pause_outlives_its_process_and_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "breaker.json"
    assert Breaker(path).pause_s() == 0
    Breaker(path).open(3600, "HTTP 429")
    other = LocalEgress(path, per_hour=3600)
    assert 3595 < other.pause_s() <= 3600
    assert "too many requests (HTTP 429)" in other.pause()
    later = time.time() + 3601
    monkeypatch.setattr(egress.time, "time", lambda: later)
    assert (other.pause_s(), other.pause()) == (0, "")


def test_a_shorter_pause_does_not_end_a_longer_one(tmp_path: Path) -> None:
    breaker = Breaker(tmp_path / "b.json")
    breaker.open(3600, "first")
    breaker.open(10, "second")
    assert Breaker(tmp_path / "b.json").pause_s() > 3500


def test_a_clock_that_is_set_back_does_not_lengthen_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Breaker(tmp_path / "b.json")
    before.open(60, "x")
    shift = [-30 * 86400.0, 0.0]
    wall, steady = time.time, time.monotonic
    monkeypatch.setattr(egress.time, "time", lambda: wall() + shift[0] + shift[1])
    monkeypatch.setattr(egress.time, "monotonic", lambda: steady() + shift[1])
    # A run that begins with the wrong clock waits the whole pause, and only once, whoever looks meanwhile.
    assert 59 < Breaker(tmp_path / "b.json").pause_s() <= 60
    shift[1] = 40
    assert 19 < Breaker(tmp_path / "b.json").pause_s() <= 20
    assert 19 < before.pause_s() <= 20
    shift[1] = 61
    assert Breaker(tmp_path / "b.json").pause_s() == 0
    # The run that opened it has a clock of its own, that nobody sets.
    assert before.pause_s() == 0


def test_what_cannot_be_read_counts_as_just_opened(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{")
    assert 3500 < Breaker(tmp_path / "b.json").pause_s() <= 3600


def test_the_pause_between_requests_is_jittered(tmp_path: Path) -> None:
    one = LocalEgress(tmp_path / "b.json", per_hour=3_600_000, jitter_s=0.05)
    waits = []
    for _ in range(12):
        began = time.monotonic()
        one.wait(threading.Event())
        waits.append(time.monotonic() - began)
    assert 0.02 < sum(waits) / len(waits) < 0.12
    assert max(waits) - min(waits) > 0.02
