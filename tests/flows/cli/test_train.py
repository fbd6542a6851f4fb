"""What `ssat train` says at its end."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.train import command, show_training
from ssat.errors import InputError


@pytest.mark.parametrize(("share", "advised"), [(0.01, False), (0.31, True)])
def test_a_loader_that_starves_the_step_is_told(
    share: float, advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"loss": 1.0, "accuracy": 0.5, "images_per_second": 90.0, "data_wait_share": share, "epoch": 1.0}
    result = {
        "classes": 9,
        "steps": 8,
        "held_out": {},
        "probe": {},
        "embedder": "e",
        "mlflow_run_id": "r",
        "reused": False,
    }
    show_training({**result, "history": [row]})
    shown = capsys.readouterr().out
    assert f"{share:.1%}" in shown
    assert ("--loader-threads" in shown) == advised


def test_the_probe_is_shown_with_its_interval_and_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"loss": 1.0, "accuracy": 0.5, "images_per_second": 90.0, "data_wait_share": 0.0, "epoch": 1.0}
    result = {"classes": 9, "steps": 8, "held_out": {}, "embedder": "e", "mlflow_run_id": "r", "reused": False}
    probe = {"probe": {"auc": 0.934, "auc_low": 0.91, "auc_high": 0.95}, "best": {"epoch": 8.0}}
    show_training({**result, **probe, "history": [row]})
    assert "0.934 (0.910–0.950), epoch 8" in capsys.readouterr().out


def test_footage_that_cannot_be_probed_is_reported_before_a_service_starts(tmp_path: Path) -> None:
    arguments = ["--workspace", str(tmp_path / "w"), "--probe", str(tmp_path / "nowhere")]
    outcome = CliRunner().invoke(command, arguments)
    assert isinstance(outcome.exception, InputError)
    assert "setting train.probe" in str(outcome.exception)
    assert "no such folder; expected footage with detections" in str(outcome.exception)
    assert not (tmp_path / "w" / "mlflow").exists()
