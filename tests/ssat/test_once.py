"""Work that is done once."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssat.errors import InputError, WorkspaceError
from ssat.locks import writing
from ssat.once import once, save_result, saved_values


@dataclass(frozen=True)
class Sum:
    value: float
    reused: bool = False


def _load(file: Path) -> Sum:
    return Sum(**saved_values(file))


def _sum(file: Path, *, saved: bool = True) -> Sum:
    def work() -> Sum:
        result = Sum(3.0)
        if saved:
            save_result(result, file)
        return result

    return once(file, _load, work)


def test_the_second_time_the_result_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key" / "sum.json"
    assert _sum(file) == Sum(3.0)
    assert json.loads(file.read_text()) == {"value": 3.0}
    assert _sum(file) == Sum(3.0, reused=True)


def test_work_that_left_no_result_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "key" / "sum.json"
    for _ in range(2):
        assert _sum(file, saved=False) == Sum(3.0)


def test_what_cannot_be_done_leaves_no_folder_and_is_not_asked_of_a_finished_result(tmp_path: Path) -> None:
    file = tmp_path / "key" / "sum.json"

    def refuse() -> None:
        raise InputError("no GPU")

    with pytest.raises(InputError, match="no GPU"):
        once(file, _load, lambda: Sum(3.0), check=refuse)
    assert not file.parent.exists()
    save_result(Sum(4.0), file)
    assert once(file, _load, lambda: Sum(3.0), check=refuse) == Sum(4.0, reused=True)


def test_two_processes_do_not_do_it_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "key" / "sum.json"
    with writing(file.parent, "training"), pytest.raises(WorkspaceError, match="is writing this training"):
        _sum(file)


def test_a_result_that_appears_before_the_lock_is_taken_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key" / "sum.json"
    # As another process that finishes between the first look and the lock.
    result = once(file, _load, lambda: Sum(3.0), check=lambda: save_result(Sum(5.0), file))
    assert result == Sum(5.0, reused=True)


def test_a_number_that_does_not_exist_is_null_where_values_are_to_be_finite(tmp_path: Path) -> None:
    save_result(Sum(float("nan")), tmp_path / "sum.json", finite=True)
    assert saved_values(tmp_path / "sum.json") == {"value": None, "reused": True}
