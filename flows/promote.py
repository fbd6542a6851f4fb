"""Promotion: score a candidate and the champion alike, then let the rule decide."""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.promotion import Metric
from ssat.workspace import Workspace
from tasks.promotion import PromotionResult, Undone, promote, undo_promotion
from tasks.recorded import Recorded
from tasks.registry_copy import CopiedVersion, copy_version


@flow(name="promote", persist_result=False)
def promote_flow(
    workspace: str,
    run_id: str,
    benchmark: BenchmarkSettings | None = None,
    split: str = "val-half",
    protocol: str | None = None,
    metric: Metric = "idf1",
    spread: float | None = None,
    probe: str | None = None,
    dry_run: bool = False,
) -> PromotionResult:
    """Promote the embedder of a training where it beats the champion.

    With `benchmark` settings the candidate, the champion and the other seeds of both are scored first, as far as that
    was not done before; split and protocol are those of the settings then.
    """
    place = Workspace.open(workspace)
    digest = None
    if benchmark is not None:
        split, protocol = benchmark.split, benchmark.protocol
        recorded = Recorded(place)
        run_id = recorded.run(run_id).info.run_id
        recorded.version_of(run_id)  # report errors before the work
        champion = recorded.champion()
        wanted = dict.fromkeys([run_id, *([champion.run_id] if champion is not None else [])])
        wanted |= dict.fromkeys(seed for candidate in list(wanted) for seed in recorded.seeds_of(candidate))
        for candidate in wanted:
            digest = run_stage(BENCHMARK, workspace, benchmark.model_copy(update={"embedder": candidate})).data_digest
    result: PromotionResult = promote(
        place,
        run_id,
        split=split,
        protocol=protocol,
        data_digest=digest,
        metric=metric,
        spread=spread,
        probe=probe,
        dry_run=dry_run,
    )
    verdict = "promoted" if result.promoted else "not promoted"
    create_markdown_artifact(f"Version {result.candidate.version} {verdict}: {result.reason}", key="promotion")
    return result


@flow(name="copy-version", persist_result=False)
def copy_flow(workspace: str, run_id: str, to: str, dry_run: bool = False) -> CopiedVersion:
    """Copy the version of a training to another registry."""
    copied = copy_version(Workspace.open(workspace), run_id, to, dry_run=dry_run)
    text = f"Version {copied.source_version}: version {copied.version} of {copied.registry}"
    create_markdown_artifact(text, key="promotion")
    return copied


@flow(name="undo-promotion", persist_result=False)
def undo_flow(workspace: str, dry_run: bool = False) -> Undone:
    """Make the version champion again that the present one replaced."""
    undone = undo_promotion(Workspace.open(workspace), dry_run=dry_run)
    would = " would be" if dry_run else " is"
    text = f"Version {undone.champion}{would} champion again, version {undone.challenger} the challenger"
    create_markdown_artifact(text, key="promotion")
    return undone
