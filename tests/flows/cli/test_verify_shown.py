"""What `ssat verify` shows."""

import pytest

from flows.cli.verify import show_check
from flows.verify import StoreCheck


@pytest.mark.parametrize("outdated", ["", "schema version 1: collect again"])
def test_a_store_of_an_earlier_version_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], outdated: str
) -> None:
    show_check(StoreCheck(1, 3, 3, (), (), "d", False, 1, outdated))
    shown = capsys.readouterr().out
    assert "sound" in shown
    assert ("built by an earlier ssat: schema version 1: collect again" in shown) == bool(outdated)
