import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.demo import command
from ssat.errors import InputError


def test_another_world_in_the_folder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "demo" / "world" / "0123abcd").mkdir(parents=True)
    result = CliRunner().invoke(command, ["--workspace", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert re.search("another world.*0123abcd.*setting `workspace`", str(result.exception))
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["world"]


@pytest.mark.parametrize(("option", "value"), [("--clips", "3"), ("--clip-seconds", "2"), ("--frames", "1")])
def test_a_world_too_small_is_refused(tmp_path: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(command, ["--workspace", str(tmp_path), option, value])
    assert isinstance(result.exception, InputError)
    assert value in str(result.exception)
