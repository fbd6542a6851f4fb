"""Comparison: recorded runs in, a table and a report out."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.workspace import Workspace
from tasks.compare import ComparisonResult, compare_runs


@flow(name="compare", persist_result=False)
def compare_flow(
    workspace: str,
    runs: Sequence[str] = (),
    experiment: str | None = None,
    against: str | None = None,
    metric: str = "idf1",
) -> ComparisonResult:
    """Compare runs."""
    place = Workspace.open(workspace)
    result: ComparisonResult = compare_runs(place, list(runs), experiment, against, metric)
    create_table_artifact(table=result.scores, key="comparison", description=result.report)
    return result
