"""Adapt an embedder to unlabelled footage of one camera; register the result if it is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.pipeline.settings import AdaptSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.adapt import AdaptedEmbedder


class Adapt(Stage[AdaptSettings, "AdaptedEmbedder"]):
    """Adapt an embedder to unlabelled footage of one camera with detections, in about a minute.

    FOLDER holds MOTChallenge sequences (img1, det/det.txt), or videos, each with detections of the same name beside it.
    The first part of the footage is learned from. The probe on the rest decides: the result is registered where its AUC
    is higher than that of the embedder that it came from, and dropped otherwise.
    """

    name = "adapt"
    settings = AdaptSettings
    examples = ("ssat adapt footage --workspace workspace",)

    def needs(self, settings: AdaptSettings) -> Needs:
        return Needs(mlflow=True)

    def check(self, workspace: Workspace, settings: AdaptSettings) -> None:
        from ssat.pipeline.probe_evaluation import ProbeEvaluation

        ProbeEvaluation(settings.footage, after=1 - settings.held_out, min_score=settings.min_score)

    def run(self, workspace: Workspace, settings: AdaptSettings) -> AdaptedEmbedder:
        from tasks.adapt import adapt_embedder

        adapted: AdaptedEmbedder = adapt_embedder(workspace, settings)
        return adapted

    def show(self, result: AdaptedEmbedder, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        probe = result.probe
        gain = probe["gain"]
        verdict = self.message(result)
        if result.accepted and not gain["low"] > 0:
            verdict += ", but the interval of the gain includes 0"
        rows = {
            "verdict": verdict + (" (done before)" if result.reused else ""),
            "tracklets": str(result.tracklets),
            "probe AUC before (95 %)": _auc(probe["before"]),
            "probe AUC after (95 %)": _auc(probe["after"]),
            "gain (95 %)": f"{gain['gain']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})",
            "parent": f"{result.parent[:12]}, version {result.parent_version or 'none'}",
            "version": result.model_version or "–",
            "embedder": result.embedder or "–",
            "MLflow run": result.mlflow_run_id,
        }
        table = Table(title="adaptation", show_header=False)
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)
        for note in result.notes:
            console.print(f"note: held-out part: {note}", markup=False, soft_wrap=True)

    def message(self, result: AdaptedEmbedder) -> str:
        return "accepted" if result.accepted else "not accepted: no higher on the held-out part"


def _auc(score: dict[str, float]) -> str:
    return f"{score['auc']:.4f} ({score['auc_low']:.4f}–{score['auc_high']:.4f})"


STAGE = Adapt()
