"""Results of the studies: JSON values give them again."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from ssat.json_values import json_values
from ssat.studies.published import TABLE_1, TABLE_3, TABLE_4
from ssat.studies.results import (
    ChosenRow,
    ClipsRow,
    ClipsStudy,
    ClipsTraining,
    ComparisonStudy,
    FeatureOnSequence,
    FeatureRow,
    FeaturesStudy,
    MeanOverSeeds,
    SweptPoint,
    SweptTraining,
    ThresholdsStudy,
    TuningStudy,
    Variant,
)
from tests.ssat.pipeline.results import scored

TRAINING = ClipsTraining(160, 0, 9, 0.5, None, 0.5, 0.4, 12, "e", "b", "0" * 32)
AUC = {"auc": 0.9, "auc_low": 0.8, "auc_high": 1.0, "probe_auc": None, "probe_auc_low": None, "probe_auc_high": None}
MEANS = {"idf1": MeanOverSeeds(0.5, 0.01, (0.49, 0.51)), "idsw": MeanOverSeeds(12.0, 1.0, (12.0,))}
NAMED: dict[str, Any] = {"table": ({"variant": "a", "IDSW": 12},), "notes": ("a note",)}
STUDIES = [
    ComparisonStudy(
        protocol="motchallenge",
        rows=(Variant("a", scored()), Variant("b", scored(idf1=0.25))),
        sequences={"a": {"WALK-01": scored()}},
        published={"Table 1": tuple(TABLE_1), "Table 3": tuple(TABLE_3)},
        benchmarks={"a": "benchmark/0"},
        runs={"a": "0" * 32},
        **NAMED,
    ),
    ClipsStudy(
        protocol="motchallenge",
        rows=(ClipsRow(160, MEANS),),
        trainings=(TRAINING, replace(TRAINING, probe_auc=0.9)),
        published=tuple(TABLE_4),
        **NAMED,
    ),
    FeaturesStudy(
        protocol="motchallenge",
        rows=(FeatureRow("colour", "colour", "d", AUC, scored()),),
        sequences={"colour": {"WALK-01": FeatureOnSequence(scored(), 1.0, None)}},
        rank_correlation={"probe_auc and auc": None, "auc and idf1": 0.5},
        benchmarks={},
        runs={},
        **NAMED,
    ),
    ThresholdsStudy(
        protocol="motchallenge",
        metric="idf1",
        chosen={"tau1": 0.5},
        rows=(ChosenRow("chosen on", "train-half", "default constants", scored(), "constants"),),
        points=(SweptPoint({"tau1": 0.5, "alpha": 2.0}, 0.5, 0.4, 12),),
        trainings=(SweptTraining("margin 0.4, scale 30", 0.4, 30.0, "e", scored(), None, 0.9),),
        runs={},
        **NAMED,
    ),
    TuningStudy(
        protocol="motchallenge",
        metric="idf1",
        trials=3,
        best_value=0.5,
        chosen={"tau1": 0.5, "confirm_hits": 3, "camera_motion": True, "overlap_pass": None, "motion": "kalman"},
        importance={"tau1": 1.0},
        rows=(ChosenRow("reported on", "train", "tuned settings", scored()),),
        settings_table=({"setting": "tau1", "default": "0.56"},),
        settings_file="studies/tune/tuned.toml",
        runs={},
        **NAMED,
    ),
]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: type(study).__name__)
def test_json_gives_the_study_again(study: Any) -> None:
    values = json.loads(json.dumps(json_values(study)))
    again = TypeAdapter(type(study)).validate_python(values)
    assert again == study
    # Whole numbers stay whole, so that a table reads the same.
    assert json.dumps(json_values(again)) == json.dumps(json_values(study))


def test_scores_stand_flat_beside_names() -> None:
    values = [json_values(study) for study in STUDIES]
    assert list(values[0]["rows"][0])[:4] == ["name", "mota", "motp", "idf1"]
    assert list(values[1]["rows"][0]) == ["clips", "idf1", "idf1_half", "idf1_seeds", "idsw", "idsw_half", "idsw_seeds"]
    assert ["probe_auc" in training for training in values[1]["trainings"]] == [False, True]
    assert list(values[3]["rows"][0])[:4] == ["which", "split", "constants", "mota"]
    assert values[3]["points"][0] == {"tau1": 0.5, "alpha": 2.0, "idf1": 0.5, "mota": 0.4, "idsw": 12}
    assert list(values[4]["rows"][0])[:4] == ["which", "split", "settings", "mota"]
    assert list(values[0]["published"]["Table 1"][0]) == ["method", "mota", "idf1", "mt", "ml", "fp", "fn", "idsw"]
    assert list(values[0]["published"]["Table 3"][0]) == ["method", "mota", "idf1", "idsw"]


def test_an_interval_of_one_seed_has_no_width() -> None:
    row = ClipsRow(160, {"idf1": MeanOverSeeds(0.5, math.nan, (0.5,))})
    assert json_values(row)["idf1_half"] is None
    assert math.isnan(json_values(row, finite=False)["idf1_half"])
