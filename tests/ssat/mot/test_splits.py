import pytest

from ssat.errors import InputError
from ssat.mot.splits import split_frames


def test_the_validation_half_is_the_published_one() -> None:
    lengths = {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750}
    halves = {name: split_frames(length, "val-half") for name, length in lengths.items()}
    assert [len(frames) for frames in halves.values()] == [299, 524, 418, 262, 326, 449, 374]
    assert halves["09"] == range(264, 526)


def test_train_is_every_frame() -> None:
    assert split_frames(71, "train") == range(1, 72)


def test_the_two_halves_are_the_whole() -> None:
    for length in (3, 4, 71, 525):
        assert [*split_frames(length, "train-half"), *split_frames(length, "val-half")] == list(range(1, length + 1))


def test_a_split_without_a_frame_is_refused() -> None:
    assert split_frames(3, "val-half") == range(3, 4)
    with pytest.raises(
        InputError, match="a sequence of 2 frames has none in the split val-half; choose the split train"
    ):
        split_frames(2, "val-half")
