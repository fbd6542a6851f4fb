"""`ssat promote` on the command line."""

import pytest

from flows.cli import run


@pytest.mark.parametrize("words", [[], ["3f9a1c0d", "--undo"]], ids=["neither", "both"])
def test_it_takes_a_run_or_undo(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["promote", *words]) == 2
    assert "give the RUN of a training, or --undo without one" in capsys.readouterr().err
