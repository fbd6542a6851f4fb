"""Table 3: effect of the box term and of feature accumulation."""

from __future__ import annotations

from flows.studies.benchmarked import association_study
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.published import TABLE_3
from ssat.studies.results import ComparisonStudy
from ssat.workspace import Workspace
from tasks.study import StudyResult

# Name → the switches of the tracker.
VARIANTS = {
    "SSAT": {"box_term": False, "accumulate": False},
    "+ box term": {"box_term": True, "accumulate": False},
    "+ box term + accumulation": {"box_term": True, "accumulate": True},
}


def extensions_study(place: Workspace, benchmark: BenchmarkSettings) -> StudyResult[ComparisonStudy]:
    """Track with and without each extension, all else equal."""
    return association_study(
        place,
        "extensions",
        benchmark,
        {name: benchmark.association.model_copy(update=switches) for name, switches in VARIANTS.items()},
        title="Study: the tracker's extensions",
        published={"Published: Table 3, MOT17 validation half": TABLE_3},
        shown="+ box term + accumulation",
    )
