"""What `ssat train` says at its end."""

import pytest

from flows.cli.train import show_training


@pytest.mark.parametrize(("share", "advised"), [(0.01, False), (0.31, True)])
def test_a_loader_that_starves_the_step_is_told(
    share: float, advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"loss": 1.0, "accuracy": 0.5, "images_per_second": 90.0, "data_wait_share": share, "epoch": 1.0}
    result = {"classes": 9, "steps": 8, "held_out": {}, "embedder": "e", "mlflow_run_id": "r", "reused": False}
    show_training({**result, "history": [row]})
    shown = capsys.readouterr().out
    assert f"{share:.1%}" in shown
    assert ("--loader-threads" in shown) == advised
