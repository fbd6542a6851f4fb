"""Tracks of a finished result are joined over absences where, when and as far as the rule allows."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from ssat.errors import InputError
from ssat.tracking.relink import Relinked, RelinkRule, relink

_RATE = 10.0
_FEATURES = 64


class _Result:
    """Rows of tracks of one height; `look` is the feature of a person, with a little noise of its own."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(3)
        self._looks = np.linalg.qr(self._rng.normal(size=(_FEATURES, _FEATURES)))[0]
        self.rows: list[tuple[int, int, float, NDArray[np.float64]]] = []

    def look(self, person: int) -> NDArray[np.float64]:
        return np.asarray(self._looks[person])

    def track(
        self, identity: int, first: int, last: int, look: NDArray[np.float64], x: float = 100, noise: float = 0.01
    ) -> None:
        for frame in range(first, last + 1):
            self.rows.append((frame, identity, x, look + noise * self._rng.normal(size=_FEATURES)))

    def crowd(self, first: int, last: int) -> None:
        """Five people who share these frames: ten pairs of people who look apart."""
        for at in range(5):
            self.track(100 + at, first, last, self.look(20 + at), x=1000 + 50 * at)

    def joined(self, **rule: float) -> Relinked:
        frames, ids, x, features = (np.array(column) for column in zip(*self.rows, strict=True))
        boxes = np.stack([x, np.full(len(x), 50.0), x + 20, np.full(len(x), 100.0)], axis=1)
        return relink(frames, ids, boxes, features.astype(np.float32), _RATE, RelinkRule(**rule))  # type: ignore[arg-type]

    def pairs(self, **rule: float) -> list[tuple[int, int]]:
        return [(join.earlier, join.later) for join in self.joined(**rule).joins]


@pytest.fixture
def result() -> _Result:
    return _Result()


def test_who_comes_back_twice_keeps_the_first_identity(result: _Result) -> None:
    result.crowd(1, 20)
    for identity, first in ((1, 1), (2, 60), (3, 200)):
        result.track(identity, first, first + 19, result.look(0))
    relinked = result.joined()
    assert {(join.earlier, join.later) for join in relinked.joins} == {(1, 2), (1, 3)} or {
        (join.earlier, join.later) for join in relinked.joins
    } == {(2, 3), (1, 2)}
    frames, ids = np.array([row[0] for row in result.rows]), np.array([row[1] for row in result.rows])
    assert set(relinked.ids[ids <= 3].tolist()) == {1}
    assert (relinked.ids[ids > 3] == ids[ids > 3]).all()
    assert sorted(join.gap_seconds for join in relinked.joins) == pytest.approx([4.0, 12.1])
    assert (relinked.different_pairs, relinked.left_alone) == (15, 0)  # 6 tracks share the first frames
    assert len(frames) == len(relinked.ids)


def test_two_in_one_frame_are_never_one(result: _Result) -> None:
    result.crowd(1, 20)
    result.track(1, 1, 40, result.look(0))
    result.track(2, 40, 80, result.look(0), x=300)
    assert result.pairs(max_distance=0.5, rival_ratio=1) == []


def test_nobody_is_joined_through_a_third_who_shares_a_frame(result: _Result) -> None:
    result.crowd(1, 20)
    result.track(1, 1, 20, result.look(0))
    result.track(2, 40, 60, result.look(0))
    result.track(3, 50, 70, result.look(0), x=300)  # at the same time as 2, as alike
    pairs = result.pairs(rival_ratio=1)
    assert len(pairs) == 1
    assert pairs[0] in [(1, 2), (1, 3)]
    assert result.pairs(rival_ratio=1.5) == []  # either may be the one who came back
    assert result.joined(rival_ratio=1.5).contested == 2


@pytest.mark.parametrize(("x", "joined"), [(650.0, True), (900.0, False)])
def test_a_person_goes_no_faster_than_the_rule_says(result: _Result, x: float, joined: bool) -> None:
    """A height is 50 pixels: in 2.1 s at 5 heights a second 525 pixels, and one height of tolerance."""
    result.crowd(1, 20)
    result.track(1, 1, 20, result.look(0), x=100)
    result.track(2, 41, 60, result.look(0), x=x)
    assert result.pairs() == ([(1, 2)] if joined else [])


@pytest.mark.parametrize(("seconds", "joined"), [(5.1, True), (4.9, False)])
def test_an_absence_is_no_longer_than_the_rule_says(result: _Result, seconds: float, joined: bool) -> None:
    result.crowd(1, 20)
    result.track(1, 1, 20, result.look(0))
    result.track(2, 70, 90, result.look(0))
    assert result.pairs(max_gap_seconds=seconds) == ([(1, 2)] if joined else [])


def test_short_tracks_and_those_without_appearance_are_left_alone(result: _Result) -> None:
    result.crowd(1, 20)
    result.track(1, 1, 20, result.look(0))
    result.track(2, 41, 44, result.look(0))
    result.track(3, 61, 80, np.zeros(_FEATURES), noise=0)
    relinked = result.joined(min_boxes=5)
    assert (relinked.joins, relinked.left_alone) == ((), 2)
    assert [(join.earlier, join.later) for join in result.joined(min_boxes=4).joins] == [(1, 2)]


def test_the_limit_lets_the_stated_share_of_people_of_one_frame_through() -> None:
    """Forty people side by side: their distances are log-normal, the limit is the quantile of the stated rate."""
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(40, 6)) + 1.5
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    frames, ids = np.tile(np.arange(1, 7), 40), np.repeat(np.arange(40), 6)
    boxes = np.tile([10.0, 10, 30, 60], (240, 1))
    relinked = relink(frames, ids, boxes, np.repeat(looks, 6, axis=0).astype(np.float32), _RATE)
    distances = np.log((1 - looks @ looks.T)[np.triu_indices(40, 1)])
    assert relinked.different_pairs == 780
    assert relinked.limit == pytest.approx(
        np.exp(distances.mean() + norm.ppf(RelinkRule().false_join_rate) * distances.std(ddof=1)), rel=1e-3
    )


def test_too_few_people_in_one_frame_need_a_limit(result: _Result) -> None:
    result.track(1, 1, 20, result.look(0))
    result.track(2, 41, 60, result.look(0))
    with pytest.raises(InputError, match="0 pairs of tracks share a frame; expected at least 10"):
        result.joined()
    assert result.pairs(max_distance=0.2) == [(1, 2)]


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="2 frames, 1 identities"):
        relink(np.array([1, 2]), np.array([1]), np.zeros((2, 4)), np.zeros((2, 3), np.float32), _RATE)
