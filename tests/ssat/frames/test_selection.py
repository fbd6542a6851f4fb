import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssat.errors import InputError
from ssat.frames.selection import Selection
from ssat.frames.store import FrameStore, RowGroup


class Counts:
    """What `Selection` asks of a store: the number of stored frames of each rank, and their stride."""

    folder = "frames"

    def __init__(self, counts: list[int], stride: int = 1) -> None:
        self.frames_of = np.array(counts)
        self.frame_stride = stride


def rows_of(counts: list[int], stride: int = 1) -> RowGroup:
    ranks = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    index = np.concatenate([np.arange(count) * stride for count in counts]).astype(np.int16)
    return RowGroup(ranks, index, index.astype(np.int64))


@given(
    counts=st.lists(st.integers(1, 320), min_size=1, max_size=5),
    k=st.integers(1, 40),
    stride=st.sampled_from([1, 5]),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_every_clip_gives_exactly_as_many_frames_as_asked(
    counts: list[int], k: int, stride: int, seed: int, epoch: int
) -> None:
    selection = Selection(Counts(counts, stride), range(len(counts)), k, seed)  # type: ignore[arg-type]
    facts = rows_of(counts, stride)
    taken = facts.class_id[selection.of_group(facts, epoch).row]
    assert np.bincount(taken, minlength=len(counts)).tolist() == [min(count, k) for count in counts]
    assert selection.size == len(taken)


@given(count=st.integers(2, 320), k=st.integers(1, 40), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_epochs_go_through_all_frames_before_they_repeat(count: int, k: int, seed: int) -> None:
    selection = Selection(Counts([count]), [0], k, seed)  # type: ignore[arg-type]
    facts = rows_of([count])
    epochs = [set(selection.of_group(facts, epoch).row.tolist()) for epoch in range(-(-count // min(k, count)))]
    assert set.union(*epochs) == set(range(count))
    if count >= 2 * k:
        # Where k does not divide the frames, one of the sets takes up some of another.
        assert len(epochs[0] & epochs[1]) <= len(epochs) * k - count


def test_frames_of_an_epoch_are_spread_over_the_clip() -> None:
    selection = Selection(Counts([300]), [0], 24, 3)  # type: ignore[arg-type]
    gaps = np.diff(selection.of_group(rows_of([300]), 5).row)
    assert gaps.min() >= 12
    assert gaps.max() <= 13


def test_clips_start_at_different_frames() -> None:
    selection = Selection(Counts([300] * 20), range(20), 24, 3)  # type: ignore[arg-type]
    facts = rows_of([300] * 20)
    first = [facts.frame_index[selection.of_group(facts, 0).row][i * 24] for i in range(20)]
    assert len(set(first)) > 5


def test_labels_follow_the_order_that_was_asked_for(small_store: FrameStore) -> None:
    selection = Selection(small_store, [7, 2], None, 0)
    assert selection.label_of[[7, 2, 0]].tolist() == [0, 1, -1]
    assert selection.size == 75


@pytest.mark.parametrize(
    ("classes", "k", "message"),
    [
        ([], None, "empty"),
        ([1, 1], None, "twice"),
        ([0, 10], None, "no clip of class id 10"),
        ([-1], None, "no clip of class id -1"),
        ([0], 0, "at least 1"),
    ],
)
def test_bad_choices_are_refused(small_store: FrameStore, classes: list[int], k: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Selection(small_store, classes, k, 0)
