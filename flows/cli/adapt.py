"""`ssat adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, print_json, settings_options
from ssat.pipeline.settings import AdaptSettings

if TYPE_CHECKING:
    from tasks.adapt import AdaptedEmbedder


@click.command(epilog="Example: ssat adapt footage --workspace workspace")
@click.argument("footage", metavar="FOLDER")
@common_options
@settings_options(AdaptSettings)
def command(
    footage: str, workspace: str, config: Path | None, as_json: bool, debug: bool, adapt_given: dict[str, Any]
) -> None:
    """Adapt an embedder to the people of one camera, from unlabelled footage with detections, in a minute.

    FOLDER holds MOTChallenge sequences (img1, det/det.txt), or videos, each with detections of the same name beside it.
    The first part of the footage is learned from. The probe on the rest decides: the result is registered where its AUC
    is higher than that of the embedder that it came from, and dropped otherwise.
    """
    settings = build_settings(AdaptSettings, config=config, preset=None, given=adapt_given)

    from ssat.pipeline.probe_evaluation import ProbeEvaluation
    from ssat.workspace import Workspace
    from tasks.services import services

    opened = Workspace.open(workspace)
    # Footage that cannot be judged by is reported before anything starts.
    ProbeEvaluation(footage, after=1 - settings.held_out, min_score=settings.min_score)
    from flows.adapt import adapt_flow

    with services(opened, mlflow=True, debug=debug):
        result = adapt_flow(workspace, footage, settings)
    _show(result, as_json)
    if as_json:
        print_json(result)


def _show(result: AdaptedEmbedder, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    probe = result.probe
    verdict = "accepted" if result.accepted else "not accepted: no higher on the held-out part"
    if result.accepted and not probe["gain"]["low"] > 0:
        verdict += ", but the interval of the gain includes 0"
    rows = {
        "verdict": verdict + (" (done before)" if result.reused else ""),
        "tracklets": str(result.tracklets),
        "probe AUC before (95 %)": _auc(probe["before"]),
        "probe AUC after (95 %)": _auc(probe["after"]),
        "gain (95 %)": f"{probe['gain']['gain']:+.4f} ({probe['gain']['low']:+.4f} to {probe['gain']['high']:+.4f})",
        "parent": f"{result.parent[:12]}, version {result.parent_version or 'none'}",
        "version": result.model_version or "–",
        "embedder": result.embedder or "–",
        "MLflow run": result.mlflow_run_id,
    }
    table = Table(title="adaptation", show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console(stderr=as_json)
    console.print(table)
    for note in result.notes:
        console.print(f"note: held-out part: {note}", markup=False, soft_wrap=True)


def _auc(score: dict[str, float]) -> str:
    return f"{score['auc']:.4f} ({score['auc_low']:.4f}–{score['auc_high']:.4f})"
