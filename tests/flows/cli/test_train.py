"""What `ssat train` says at its end."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.train import command, show_training
from ssat.embedding.progress import EpochRecord
from ssat.errors import InputError
from tasks.trained import TrainedEmbedder


def _trained(data_wait_share: float = 0.0, **values: object) -> TrainedEmbedder:
    record = EpochRecord(1, 1.0, 0.5, 0.5, 0.1, 90.0, data_wait_share, 0, 1)
    return replace(TrainedEmbedder("e", "r", "1", {}, "d", 9, 8, {}, {}, [record]), **values)


@pytest.mark.parametrize(("share", "advised"), [(0.01, False), (0.31, True)])
def test_a_loader_that_starves_the_step_is_told(
    share: float, advised: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    show_training(_trained(share))
    shown = capsys.readouterr().out
    assert f"{share:.1%}" in shown
    assert ("--loader-threads" in shown) == advised


def test_the_probe_is_shown_with_its_interval_and_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    probe = {"auc": 0.934, "auc_low": 0.91, "auc_high": 0.95}
    show_training(_trained(probe=probe, best={"epoch": 8.0}))
    assert "0.934 (0.910–0.950), epoch 8" in capsys.readouterr().out


def test_footage_that_cannot_be_probed_is_reported_before_a_service_starts(tmp_path: Path) -> None:
    arguments = ["--workspace", str(tmp_path / "w"), "--probe", str(tmp_path / "nowhere")]
    outcome = CliRunner().invoke(command, arguments)
    assert isinstance(outcome.exception, InputError)
    assert "setting train.probe" in str(outcome.exception)
    assert "no such folder; expected footage with detections" in str(outcome.exception)
    assert not (tmp_path / "w" / "mlflow").exists()
