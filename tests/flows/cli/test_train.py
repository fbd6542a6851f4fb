"""What `ssat train` says at its end."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from flows.cli import run
from flows.stages.train import STAGE as TRAIN
from ssat.embedding.progress import EpochRecord
from ssat.workspace import Workspace
from tasks.trained import TrainedEmbedder


def _trained(data_wait_share: float = 0.0, **values: object) -> TrainedEmbedder:
    record = EpochRecord(1, 1.0, 0.5, 0.5, 0.1, 90.0, data_wait_share, 0, 1)
    return replace(TrainedEmbedder("e", "r", "1", {}, "d", 9, 8, {}, {}, [record]), **values)


@pytest.mark.parametrize(("share", "advised"), [(0.01, False), (0.31, True)])
def test_a_loader_that_starves_the_step_is_told(
    share: float, advised: bool, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    TRAIN.show(_trained(share), workspace, Console())
    shown = capsys.readouterr().out
    assert f"{share:.1%}" in shown
    assert ("--loader-threads" in shown) == advised


def test_the_probe_is_shown_with_its_interval_and_epoch(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = {"auc": 0.934, "auc_low": 0.91, "auc_high": 0.95}
    TRAIN.show(_trained(probe=probe, best={"epoch": 8.0}), workspace, Console())
    assert "0.934 (0.910–0.950), epoch 8" in capsys.readouterr().out


def test_footage_that_cannot_be_probed_is_reported_before_a_service_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--workspace", str(tmp_path / "w"), "--probe", str(tmp_path / "nowhere")]) == 2
    shown = capsys.readouterr().err
    assert "setting train.probe" in shown
    assert "no such folder; expected footage with detections" in shown
    assert not (tmp_path / "w" / "mlflow").exists()
