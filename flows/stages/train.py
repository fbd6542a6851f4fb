"""Train the embedder: frame store in, registered embedder out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.embedding.settings import TrainSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.trained import TrainedEmbedder

_MUCH_WAITING = 0.05  # share of the last epoch's time


class Train(Stage[TrainSettings, "TrainedEmbedder"]):
    """Train the embedder on the frame store: every clip is a class, classified with CosFace.

    Beyond the paper, `--instances patch` takes boxes that optical flow follows through the clips as classes.
    """

    name = "train"
    settings = TrainSettings
    presets = "training"
    examples = ("ssat train --preset quick --epochs 8 --workspace workspace",)

    def needs(self, settings: TrainSettings) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check(self, workspace: Workspace, settings: TrainSettings) -> None:
        from tasks.checks import check_train

        check_train(settings)

    def check_ready(self, workspace: Workspace, settings: TrainSettings) -> None:
        from ssat.embedding.clip_split import check_clips
        from ssat.frames.store import FrameStore

        check_clips(settings, FrameStore.open(workspace.frames))

    def finished(self, workspace: Workspace, settings: TrainSettings) -> TrainedEmbedder | None:
        from tasks.trained import finished_training

        return finished_training(workspace, settings)

    def run(self, workspace: Workspace, settings: TrainSettings) -> TrainedEmbedder:
        from prefect.artifacts import create_table_artifact

        from tasks.train import train_embedder

        result: TrainedEmbedder = train_embedder(workspace, settings)
        create_table_artifact(
            table=result.rows(),
            key="training",
            description=f"Training of {result.embedder}, MLflow run {result.mlflow_run_id}",
        )
        return result

    def show(self, result: TrainedEmbedder, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        last = result.history[-1]
        table = Table(title="training" + (" (done before)" if result.reused else ""), show_header=False)
        rows = {
            **_classes(result),
            "steps": str(result.steps),
            "loss": f"{last.loss:.3f}",
            "accuracy": f"{last.accuracy:.1%}",
            "images/s": f"{last.images_per_second:.0f}",
            "waiting for data": _waiting(last.data_wait_share),
            **{f"held-out {name.replace('_', ' ')}": f"{value:.3f}" for name, value in result.held_out.items()},
            **_probed(result),
            **_compared(result),
            "embedder": result.embedder,
            "MLflow run": result.mlflow_run_id,
        }
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)

    def message(self, result: TrainedEmbedder) -> str:
        return result.embedder


def _classes(result: TrainedEmbedder) -> dict[str, str]:
    """Return number and kind of the classes."""
    found = result.instances
    if not found:
        return {"classes (clips)": str(result.classes)}
    return {
        "classes (patches)": str(result.classes),
        "patches of all clips": f"{found['instances']}, {found['moving']} of them move",
        "clips, without a patch, unreadable": f"{found['clips']}, {found['without']}, {found['unreadable']}",
    }


def _probed(result: TrainedEmbedder) -> dict[str, str]:
    """Return the table row of the probe, if there was one."""
    probe = result.probe
    if not probe:
        return {}
    interval = f"{probe['auc_low']:.3f}–{probe['auc_high']:.3f}"
    return {"probe AUC (95 %)": f"{probe['auc']:.3f} ({interval}), epoch {result.best['epoch']:g}"}


def _compared(result: TrainedEmbedder) -> dict[str, str]:
    """Return the table row of network and colours, if they were compared or should have been."""
    choice = result.choice
    if choice.network_auc is None or choice.colours_auc is None:
        return {"kept": f"network; {choice.note}"} if choice.note else {}
    scores = f"held-out patches, AUC: colours {choice.colours_auc:.3f}, network {choice.network_auc:.3f}"
    return {"kept": f"{choice.kept} (beyond the paper; {scores})"}


def _waiting(share: float) -> str:
    """Return the share of time that steps wait for data, with advice if it is large."""
    advice = "; raise --loader-threads, or give the workers more cores" if share > _MUCH_WAITING else ""
    return f"{share:.1%}{advice}"


STAGE = Train()
