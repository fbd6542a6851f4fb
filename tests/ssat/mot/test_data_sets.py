"""Data sets by name: the layouts of their publishers, and where each can be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.mot.data_sets import DATA_SETS, archive_address, data_set_named
from ssat.mot.find import find_sequences


@pytest.mark.parametrize(
    ("below", "part", "name"),
    [
        ("MOT20/train", "train", "MOT20-01"),
        ("dancetrack/train", "train", "dancetrack0001"),
        ("sportsmot_publish/dataset/train", "train", "v_-6Os86HzwCs_c001"),
        ("sportsmot_publish/dataset/test", "test", "v_-6Os86HzwCs_c002"),
    ],
)
def test_a_data_set_is_found_from_its_own_folder(
    make_sequence: Callable[..., Path], tmp_path: Path, below: str, part: str, name: str
) -> None:
    make_sequence(tmp_path / below, name, n_frames=2)
    top = tmp_path / Path(below).parts[0]
    for folder in (top, tmp_path / below, tmp_path / below / name):
        assert [sequence.name for sequence in find_sequences(folder, part=part)] == [name]


def test_a_zip_is_named_only_where_no_account_is_needed() -> None:
    assert archive_address(data_set_named("mot17")) == "https://motchallenge.net/data/MOT17.zip"
    assert archive_address(data_set_named("MOT20"), labels_only=True) == "https://motchallenge.net/data/MOT20Labels.zip"
    for data_set in DATA_SETS.values():
        if not data_set.archive:
            with pytest.raises(InputError, match=data_set.page):
                archive_address(data_set)
