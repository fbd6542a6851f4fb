"""What `ssat verify` shows."""

from pathlib import Path

import pytest
from rich.console import Console

from flows.stage import stage_named
from flows.stages.verify import StoreCheck
from ssat.workspace import Workspace


@pytest.mark.parametrize("outdated", ["", "schema version 1: collect again"])
def test_a_store_of_an_earlier_version_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, outdated: str
) -> None:
    check = StoreCheck(1, 3, 3, (), (), "d", False, 1, outdated)
    stage_named("verify").show(check, Workspace.open(tmp_path), Console())
    shown = capsys.readouterr().out
    assert "sound" in shown
    assert ("built by an earlier ssat: schema version 1: collect again" in shown) == bool(outdated)
