import numpy as np
import pytest

from ssat.mot.rows import MotRows
from ssat.mot.scores import ToScore
from ssat.studies.settings import ClipsStudySettings, ThresholdsStudySettings, TrackersStudySettings
from ssat.studies.sweep import SweepSequence, best_point, grid_points, score_point
from ssat.tracking import TrackerConfig


def test_the_grid_holds_every_combination() -> None:
    settings = ThresholdsStudySettings(tau1=(0.3, 0.5), tau2=(0.6,), alpha=(1.0,), beta=(0.2, 0.4))
    assert grid_points(settings) == [
        (0.3, 0.6, 1.0, 0.2),
        (0.3, 0.6, 1.0, 0.4),
        (0.5, 0.6, 1.0, 0.2),
        (0.5, 0.6, 1.0, 0.4),
    ]
    assert settings.points == 4


def test_a_point_is_scored_with_its_constants() -> None:
    # One person walks; at distance 0.4 in appearance from frame to frame, tau1 decides whether it is followed.
    n = 10
    turn = np.arange(n) * np.arccos(0.6)
    features = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
    boxes = np.stack([np.arange(n) * 1.0, np.zeros(n), np.arange(n) + 20.0, np.full(n, 50.0)], axis=1)
    rows = MotRows(np.arange(1, n + 1), np.ones(n, int), boxes, np.ones(n), np.ones(n, int))
    to_score = ToScore(rows, rows.select(slice(0, 0)), range(1, n + 1))
    sequences = [SweepSequence("walk", 30.0, rows, features, to_score)]
    base = TrackerConfig(box_term=False)
    followed = score_point(sequences, base, (0.5, 0.64, 2.0, 1.0), "motchallenge")
    lost = score_point(sequences, base, (0.3, 0.1, 2.0, 1.0), "motchallenge")
    assert (followed.idsw, followed.idf1) == (0, 1.0)
    assert lost.idsw == 9


def test_among_equals_the_point_nearest_to_the_default_is_taken() -> None:
    values = np.array([[0.5, 0.7, 0.7], [0.7, 0.1, np.nan]])
    assert best_point(values) == (0, 1)
    assert best_point(values, default=(1, 0)) == (1, 0)
    assert best_point(values, default=(0, 2)) == (0, 2)


def test_settings_that_make_no_study_are_refused() -> None:
    for model, values, message in (
        (ClipsStudySettings, {"clips": (160, 160)}, "each once"),
        (ClipsStudySettings, {"clips": (1, 160)}, "two or more"),
        (ClipsStudySettings, {"seeds": (-1,)}, "0 or more"),
        (ClipsStudySettings, {"seeds": ()}, "seeds: name one"),
        (ThresholdsStudySettings, {"beta": ()}, "beta: name one"),
        (ThresholdsStudySettings, {"tau1": (0.5, 0.5)}, "each once"),
        (TrackersStudySettings, {}, "setting `unlabelled`"),
    ):
        with pytest.raises(ValueError, match=message):
            model(**values)
    assert not TrackersStudySettings(trackers=("box", "sort")).needs_appearance
