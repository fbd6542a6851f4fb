import pytest

from ssat.embedding.schedule import learning_rate_at
from ssat.embedding.settings import TrainSettings


def test_step_schedule_is_the_papers() -> None:
    # 16 epochs from 1e-2, divided by 10 every 4 epochs.
    settings = TrainSettings()
    rates = [learning_rate_at(epoch * 375, 16 * 375, settings) for epoch in range(16)]
    assert rates == pytest.approx([1e-2] * 4 + [1e-3] * 4 + [1e-4] * 4 + [1e-5] * 4)
    assert learning_rate_at(4 * 375 - 1, 16 * 375, settings) == pytest.approx(1e-2)


def test_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    settings = TrainSettings(schedule="cosine", learning_rate=0.1, warmup=0.2)
    rates = [learning_rate_at(step, 100, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.004)
    assert rates[20] == pytest.approx(0.1) == max(rates)
    assert rates[60] == pytest.approx(0.05)
    assert rates[100] == pytest.approx(0.0)
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
