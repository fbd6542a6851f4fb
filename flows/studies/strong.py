"""Effect of each part of the preset `strong`: the preset without it."""

from __future__ import annotations

from typing import Any

from flows.studies.benchmarked import association_study
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.results import ComparisonStudy
from ssat.tracking.config import QUICK_ALPHA, TrackerConfig
from ssat.workspace import Workspace
from tasks.study import StudyResult

# Part → the settings that switch it off.
INGREDIENTS: dict[str, dict[str, Any]] = {
    "motion": {"motion": "none", "motion_gate": False, "hold_size": False},
    "motion gate": {"motion_gate": False},
    "held size": {"hold_size": False},
    "camera motion": {"camera_motion": False},
    "calibration": {"calibrate": False},
    "cost of a missing appearance": {"missing_appearance_cost": 0.0},
    "overlap pass": {"overlap_pass": None},
    "confirmation": {"confirm_hits": 1},
    "longer life of lost tracks": {"lost_seconds": 1.0},
}
# Not in the preset: options that did not help on the sequences that its settings were chosen on.
FURTHER: dict[str, dict[str, Any]] = {
    "a gallery of 10": {"gallery": 10},
    "mutual best": {"assignment": "mutual"},
    "the smallest sum": {"assignment": "hungarian"},
}
FILLED = "strong with gaps filled"


def strong_study(place: Workspace, benchmark: BenchmarkSettings) -> StudyResult[ComparisonStudy]:
    """Track with the preset, without each of its parts, with further ones, and with `paper` and `quick`.

    Gaps are filled in the last variant only, because the others compare what is known online.
    """
    strong = benchmark.association
    return association_study(
        place,
        "strong",
        benchmark.model_copy(update={"interpolate_seconds": 0.0}),
        {
            "paper": TrackerConfig(),
            "quick": TrackerConfig(alpha=QUICK_ALPHA),
            "strong": strong,
            **{
                f"strong without {name}": TrackerConfig.model_validate(strong.model_dump() | off)
                for name, off in INGREDIENTS.items()
            },
            **{
                f"strong with {name}": TrackerConfig.model_validate(strong.model_dump() | on)
                for name, on in FURTHER.items()
            },
            FILLED: strong,
        },
        title="Study: the preset strong (beyond the paper)",
        shown="strong",
        interpolate_seconds={FILLED: benchmark.interpolate_seconds},
    )
