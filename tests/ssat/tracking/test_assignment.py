import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssat.tracking.assignment import greedy, hungarian


def _pairs(result: tuple[np.ndarray, np.ndarray]) -> set[tuple[int, int]]:
    return set(zip(result[0].tolist(), result[1].tolist(), strict=True))


def _greedy_by_definition(distance: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    pairs: set[tuple[int, int]] = set()
    entries = sorted((distance[t, d], t, d) for t in range(distance.shape[0]) for d in range(distance.shape[1]))
    for value, track, detection in entries:
        if value < threshold and all(track != t and detection != d for t, d in pairs):
            pairs.add((track, detection))
    return pairs


def test_greedy_takes_the_nearest_pair_first_even_where_the_sum_is_larger() -> None:
    distance = np.array([[0.10, 0.11], [0.12, 0.50]])
    assert _pairs(greedy(distance, 0.56)) == {(0, 0), (1, 1)}
    assert _pairs(hungarian(distance, 0.56)) == {(0, 1), (1, 0)}


def test_the_threshold_itself_does_not_match() -> None:
    for assign in (greedy, hungarian):
        assert _pairs(assign(np.array([[0.56]]), 0.56)) == set()
        assert _pairs(assign(np.array([[0.5599]]), 0.56)) == {(0, 0)}


def test_greedy_breaks_ties_by_track_then_detection() -> None:
    assert _pairs(greedy(np.full((3, 2), 0.25), 0.5)) == {(0, 0), (1, 1)}
    assert _pairs(greedy(np.full((40, 40), 0.25), 0.5)) == {(n, n) for n in range(40)}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_greedy_equals_its_definition_with_ties(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(0, 7), st.integers(0, 7)))
    # Few distinct values, so that most draws hold ties; infinity is a pair that must not match.
    values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.55, 0.56, 0.9, np.inf])
    distance = data.draw(arrays(np.float64, shape, elements=values))
    assert _pairs(greedy(distance, 0.56)) == _greedy_by_definition(distance, 0.56)


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_greedy_equals_its_definition_on_large_matrices(decimals: int) -> None:
    # Large matrices settle mutual minima first: another code path, the same answer, ties included.
    distance = np.random.default_rng(decimals).uniform(0, 0.8, (45, 38)).round(decimals)
    assert _pairs(greedy(distance, 0.56)) == _greedy_by_definition(distance, 0.56)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_hungarian_has_the_smallest_sum_where_staying_unmatched_costs_the_threshold(distance: np.ndarray) -> None:
    import itertools

    def gain(pairs: set[tuple[int, int]]) -> float:
        return sum(0.56 - distance[pair] for pair in pairs)

    n_tracks, n_detections = distance.shape
    best = 0.0
    for k in range(1, min(n_tracks, n_detections) + 1):
        for tracks in itertools.combinations(range(n_tracks), k):
            for detections in itertools.permutations(range(n_detections), k):
                best = max(best, gain(set(zip(tracks, detections, strict=True))))
    pairs = _pairs(hungarian(distance, 0.56))
    assert all(distance[pair] < 0.56 for pair in pairs)
    assert gain(pairs) == pytest.approx(best, abs=1e-9)
