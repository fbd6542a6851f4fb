import time

from ssat.scale.budget import GIB, Budget
from ssat.scale.ladder import Rung
from ssat.scale.settings import ScaleSettings


def rung(clips: int, stored_bytes: int = 0) -> Rung:
    """16,000 images in a minute."""
    return Rung(
        clips=clips,
        classes=clips,
        finished_at="2026-01-01T00:00:00+00:00",
        embedder="training/x/embedder.safetensors",
        model_version="1",
        architecture="resnet18",
        overall={},
        protocol="motchallenge",
        minutes={"train": 1.0},
        stored_bytes=stored_bytes,
        frames_per_second=100.0,
        images=16_000,
        training_seconds=60.0,
        promoted=True,
        verdict="the first",
    )


def test_without_limits_nothing_is_ever_spent():
    budget = Budget(ScaleSettings.build())
    budget.note_failures(10**6)
    assert budget.spent() == ""
    assert budget.refuses_training(10**12, rung(160)) == ""
    assert budget.refuses_decode(10**9, 10**15, rung(160)) == ""


def test_the_hours_of_a_run_come_to_an_end(monkeypatch):
    budget = Budget(ScaleSettings.build(None, {"hours": 2}))
    assert budget.spent() == ""
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 7201)
    assert "2 hours" in budget.spent()


def test_failures_count_only_where_network_disk_or_downloader_are_to_blame():
    budget = Budget(ScaleSettings.build(None, {"failures": 5}))
    budget.note_outcomes({"ok": 100, "GONE": 100, "GEO": 3, "AUTH": 9, "waiting": 7, "NET": 3, "TOOL": 1})
    assert budget.spent() == ""
    budget.note_failures(1)
    assert "5 clips failed" in budget.spent()


def test_a_training_that_cannot_fit_is_not_begun():
    budget = Budget(ScaleSettings.build(None, {"hours": 1}))
    last = rung(160)
    assert budget.refuses_training(58 * 16_000, last) == ""
    assert "about 1.1 hours" in budget.refuses_training(66 * 16_000, last)
    assert budget.refuses_training(10**9, None) == "", "the first rung has nothing to be judged by"


def test_disk_is_judged_by_the_bytes_of_the_rung_before():
    budget = Budget(ScaleSettings.build(None, {"gib": 1}))
    last = rung(160, stored_bytes=160 * 1024**2)  # a MiB a clip
    assert budget.refuses_decode(1000, 0, last) == ""
    assert "GiB" in budget.refuses_decode(1100, 0, last)
    assert "take 1.00 GiB" in budget.refuses_decode(2, GIB + 1, None)
