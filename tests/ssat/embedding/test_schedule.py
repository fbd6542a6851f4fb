import pytest

from ssat.embedding.schedule import learning_rate_at, margin_at
from ssat.embedding.settings import HeadSettings, ScheduleSettings


def test_step_schedule_is_the_papers() -> None:
    # 16 epochs from 1e-2, divided by 10 every 4 epochs.
    settings = ScheduleSettings()
    rates = [learning_rate_at(epoch / 16, settings) for epoch in range(16)]
    assert rates == pytest.approx([1e-2] * 4 + [1e-3] * 4 + [1e-4] * 4 + [1e-5] * 4)
    assert learning_rate_at((3 + 374 / 375) / 16, settings) == pytest.approx(1e-2)


def test_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    settings = ScheduleSettings(kind="cosine", learning_rate=0.1, warmup=0.2)
    rates = [learning_rate_at(step / 100, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.004)
    assert rates[20] == pytest.approx(0.1) == max(rates)
    assert rates[60] == pytest.approx(0.05)
    assert rates[100] == pytest.approx(0.0)
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_the_margin_grows_over_its_warm_up() -> None:
    settings = HeadSettings(margin=0.4, margin_warmup=0.5)
    assert [margin_at(progress, settings) for progress in (0, 0.25, 0.5, 0.9)] == pytest.approx([0, 0.2, 0.4, 0.4])
    assert margin_at(0, HeadSettings()) == 0.35
