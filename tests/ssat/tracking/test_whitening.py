"""Directions in which tracks vary count less after the transform."""

import numpy as np

from ssat.tracking.whitening import WithinTracks


def test_deviations_have_unit_covariance_after_it() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6)) * 0.1
    within = WithinTracks()
    for part in np.split(mixed.astype(np.float32), 40):
        within.add(part)
    assert within.renew()
    white = within(mixed.astype(np.float32))
    covariance = white.T @ white / len(white)
    # A tenth of the covariance is shrunk to a multiple of the identity, so strong directions keep a little more than 1.
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert eigenvalues[-1] < 1 / 0.9 + 1e-3
    raw = np.linalg.eigvalsh(mixed.T @ mixed)
    assert eigenvalues[-1] / eigenvalues[0] < 0.5 * raw[-1] / raw[0]


def test_people_who_differ_where_tracks_vary_little_come_apart() -> None:
    """Two people differ by 0.5 along the second axis; light moves everybody by 1 along the first."""
    rng = np.random.default_rng(1)
    light = rng.normal(0, 1, (500, 1)) * np.array([[1.0, 0, 0]]) + rng.normal(0, 0.01, (500, 3))
    within = WithinTracks()
    within.add(light.astype(np.float32))
    within.renew()
    one, bright, other = within(np.array([[0, 0.5, 1], [1, 0.5, 1], [0, 0, 1]], np.float32))
    assert np.linalg.norm(one - bright) < np.linalg.norm(one - other)


def test_it_is_renewed_when_there_are_a_fifth_more() -> None:
    rng = np.random.default_rng(2)
    within = WithinTracks()
    features = rng.normal(size=(2, 4)).astype(np.float32)
    assert not within.renew()
    np.testing.assert_array_equal(within(features), features)
    answers = []
    for count in (100, 10, 10):
        within.add(rng.normal(size=(count, 4)).astype(np.float32))
        answers.append(within.renew())
    assert answers == [True, False, True]
    assert (within.count, within.renewed_at) == (120, 120)


def test_features_that_never_change_are_no_division_by_zero() -> None:
    within = WithinTracks()
    within.add(np.zeros((5, 3), np.float32))
    assert within.renew()
    assert np.isfinite(within(np.ones((1, 3), np.float32))).all()
