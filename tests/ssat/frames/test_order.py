"""The order of an epoch as pure functions: complete, mixed, and the same for any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ssat.frames.order import EpochOrder, group_order, sample_draws


class Group:
    """A row group of which each opening has other samples."""

    def __init__(self, number: int, again: int, size: int) -> None:
        self.number, self.again, self.size = number, again, size

    def __len__(self) -> int:
        return self.size


def cursor(sizes: list[int], seed: int, epoch: int, batch: int, lanes: int = 1) -> EpochOrder[Group]:
    return EpochOrder(lambda group, again: Group(group, again, sizes[group]), len(sizes), seed, epoch, batch, lanes)


def epoch_order(sizes: list[int], seed: int, epoch: int, *, batch: int, lanes: int = 1) -> NDArray[np.int64]:
    """Return the whole batches of an epoch: (n, 2) number of the row group and of the sample in it."""
    picks = cursor(sizes, seed, epoch, batch, lanes).take(0, sum(sizes) // batch * batch)
    return np.array(ids(picks), np.int64).reshape(-1, 2)


def ids(picks: list[tuple[Group, int]]) -> list[tuple[int, int]]:
    return [(group.number, sample) for group, sample in picks]


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=40),
    batch=st.integers(1, 24),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_has_every_sample_at_most_once_in_whole_batches(
    sizes: list[int], batch: int, seed: int, epoch: int
) -> None:
    order = epoch_order(sizes, seed, epoch, batch=batch)
    assert len(order) == sum(sizes) // batch * batch
    assert len({tuple(sample) for sample in order.tolist()}) == len(order)
    assert all(0 <= sample < sizes[group] for group, sample in order.tolist())


def test_the_order_follows_from_seed_and_epoch() -> None:
    sizes = [30] * 40
    first = epoch_order(sizes, 1, 2, batch=8)
    assert np.array_equal(first, epoch_order(sizes, 1, 2, batch=8))
    assert not np.array_equal(first, epoch_order(sizes, 2, 2, batch=8))
    assert not np.array_equal(first, epoch_order(sizes, 1, 3, batch=8))


def test_sixteen_row_groups_are_open_at_a_time() -> None:
    order = epoch_order([64] * 100, 0, 0, batch=8)
    opened = [int(group) for group in dict.fromkeys(order[:, 0].tolist())]
    assert opened[:16] == [group for group in opened if group in set(group_order(100, 0, 0)[:16].tolist())][:16]
    last = {group: int(np.flatnonzero(order[:, 0] == group)[-1]) for group in opened}
    first = {group: int(np.flatnonzero(order[:, 0] == group)[0]) for group in opened}
    open_at = [sum(first[group] <= at <= last[group] for group in opened) for at in range(0, 5000, 100)]
    assert max(open_at) <= 16
    assert np.mean(open_at) > 12


@pytest.mark.parametrize("lanes", [1, 2, 8, 24])
@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_every_global_step_is_the_same_for_any_number_of_processes(world: int, lanes: int) -> None:
    sizes, batch = [17, 0, 40, 33, 25, 60, 9, 31] * 12, 24
    alone = epoch_order(sizes, 3, 1, batch=batch, lanes=lanes)
    share = batch // world
    processes = [cursor(sizes, 3, 1, batch, lanes) for _ in range(world)]
    for step in range(len(alone) // batch):
        parts = [process.take(step * batch + rank * share, share) for rank, process in enumerate(processes)]
        assert [sample for part in parts for sample in ids(part)] == [
            tuple(sample) for sample in alone[step * batch : (step + 1) * batch].tolist()
        ]


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_cursor_may_start_anywhere(lanes: int) -> None:
    sizes = [50] * 30
    whole = epoch_order(sizes, 0, 0, batch=16, lanes=lanes).tolist()
    assert ids(cursor(sizes, 0, 0, 16, lanes).take(301, 99)) == [tuple(sample) for sample in whole[301:400]]


def test_with_lanes_each_row_group_is_read_by_one_process() -> None:
    sizes = [20] * 64
    readers: dict[int, set[int]] = {}
    for rank in range(4):
        process = cursor(sizes, 0, 0, 32, lanes=8)
        for step in range(sum(sizes) // 32):
            for group, _ in process.take(step * 32 + rank * 8, 8):
                readers.setdefault(group.number, set()).add(rank)
    assert set(readers) == set(range(64))
    assert all(len(ranks) == 1 for ranks in readers.values())


def test_a_lane_that_runs_out_opens_its_row_groups_again() -> None:
    # Row group 0 or 1 is a lane of its own: the shorter one is gone through twice.
    process = cursor([10, 30], 0, 0, 2, lanes=2)
    picks = process.take(0, 40)
    assert len(picks) == 40
    again = {group.number: group.again for group, _ in picks}
    assert again == {0: 1, 1: 0}
    first_time = [(group.number, sample) for group, sample in picks if group.again == 0]
    assert len(set(first_time)) == len(first_time) == 30


@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_random_numbers_belong_to_the_position(world: int) -> None:
    batch, share = 24, 24 // world
    alone = [sample_draws(5, 2, step * batch, batch, batch=batch, width=7) for step in range(3)]
    for step, expected in enumerate(alone):
        parts = [sample_draws(5, 2, step * batch + rank * share, share, batch=batch, width=7) for rank in range(world)]
        assert np.array_equal(np.concatenate(parts), expected)
    # A part may reach over the end of a step: the processes do not divide the batch then.
    across = sample_draws(5, 2, 20, 30, batch=batch, width=7)
    assert np.array_equal(across, np.concatenate([alone[0][20:], alone[1], alone[2][:2]]))
    assert len(np.unique(np.concatenate(alone))) == 3 * 24 * 7
