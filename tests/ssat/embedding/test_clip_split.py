import pytest

from ssat.embedding.clip_split import split_clips
from ssat.embedding.settings import DataSettings
from ssat.errors import InputError


def split(available: range | list[int], **values: object) -> tuple[list[int], list[int]]:
    return split_clips(DataSettings(**values), list(available))


def test_the_last_ranks_are_held_out_unless_clips_are_named() -> None:
    assert split(range(10), held_out_clips=3) == (list(range(7)), [7, 8, 9])
    assert split(range(10), held_out_clips=0) == (list(range(10)), [])


def test_named_clips_are_a_prefix_and_the_next_ranks_are_held_out() -> None:
    assert split(range(100), clips=20, held_out_clips=2) == (list(range(20)), [20, 21])


def test_ranks_that_could_not_be_decoded_leave_a_gap_not_a_shift() -> None:
    assert split([0, 1, 3, 4, 6, 7], clips=5, held_out_clips=1) == ([0, 1, 3, 4], [6])


@pytest.mark.parametrize(
    ("available", "values", "message"),
    [
        (range(16), {}, "16 clips and 16 are held out"),
        (range(5), {"held_out_clips": 4}, "at least 2 must remain"),
        (range(10), {"clips": 20, "held_out_clips": 0}, "20 to train on and 0 held out are more than the 10 clips"),
        (range(10), {"clips": 9, "held_out_clips": 2}, "9 to train on and 2 held out are more than the 10 clips"),
    ],
)
def test_too_few_clips_are_an_error_that_says_the_numbers(
    available: range, values: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split(available, **values)
