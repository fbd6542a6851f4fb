"""Table 3: what the box term and feature accumulation add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.studies.benchmarked import finish_comparison, run_variants
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.published import TABLE_3
from ssat.workspace import Workspace
from tasks.benchmark import data_digest, prepare
from tasks.embedders import resolve_embedder
from tasks.mlflow_run import Dataset
from tasks.study import Study

# Name → the switches of the tracker.
VARIANTS = {
    "SSAT": {"box_term": False, "accumulate": False},
    "+ box term": {"box_term": True, "accumulate": False},
    "+ box term + accumulation": {"box_term": True, "accumulate": True},
}


@flow(name="study extensions", persist_result=False)
def extensions_study(workspace: str, benchmark: BenchmarkSettings) -> dict[str, Any]:
    """Tracks with and without each extension on the same detections and features.

    Gives "rows" (name and scores), "sequences", "published", "folder", "report", "figures", "runs" (MLflow run of each
    benchmark), "mlflow_run_id" and "reused".
    """
    place = Workspace.open(workspace)
    base = benchmark.model_copy(update={"tracker": "ssat", "video": False})
    prepared, skipped = prepare(base)
    digests = {"data": data_digest(prepared), "embedder": resolve_embedder(base.embedder, place).digest}
    study = Study(place, "extensions", {"benchmark": base}, digests)
    result = study.finished()
    if result is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            found = run_variants(
                study,
                {
                    name: base.model_copy(update={"association": base.association.model_copy(update=switches)})
                    for name, switches in VARIANTS.items()
                },
            )
            result = finish_comparison(
                study,
                reporter,
                prepared,
                found,
                title="Study: the tracker's extensions",
                published={"Published: Table 3, MOT17 validation half": TABLE_3},
                shown="+ box term + accumulation",
                notes=[f"Left out: {name} ({reason})." for name, reason in skipped.items()],
                first="variant",
            )
    create_table_artifact(table=result["table"], key="study-extensions", description=result["report"])
    return result
