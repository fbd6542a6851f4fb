"""`ssat train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import build_settings, common_options, preset_option, print_json, settings_options
from ssat.embedding.settings import TrainSettings

if TYPE_CHECKING:
    from tasks.trained import TrainedEmbedder

_MUCH_WAITING = 0.05  # share of the last epoch's time


@click.command(epilog="Example: ssat train --preset quick --epochs 8 --workspace workspace")
@common_options
@preset_option
@settings_options(TrainSettings)
def command(
    workspace: str, config: Path | None, as_json: bool, debug: bool, preset: str, train_given: dict[str, Any]
) -> None:
    """Train the embedder on the frame store: every clip is a class, classified with CosFace.

    Beyond the paper, `--instances patch` takes boxes that optical flow follows through the clips as classes.
    """
    settings = build_settings(TrainSettings, config=config, preset=preset, given=train_given)

    from ssat.workspace import Workspace
    from tasks.checks import check_train

    opened = Workspace.open(workspace)
    check_train(opened, settings)

    from tasks.trained import finished_training

    # Footage that cannot be probed is reported here, before a service starts.
    result = finished_training(opened, settings)
    if result is None:
        from flows.train import train_flow
        from tasks.services import services

        with services(opened, ray=True, mlflow=True, debug=debug):
            result = train_flow(workspace, settings)
    show_training(result, as_json)
    if as_json:
        print_json(result)


def show_training(result: TrainedEmbedder, as_json: bool = False) -> None:
    """The summary table of a training."""
    from rich.console import Console
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
        "embedder": result.embedder,
        "MLflow run": result.mlflow_run_id,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console(stderr=as_json).print(table)


def _classes(result: TrainedEmbedder) -> dict[str, str]:
    """Return how many classes there are, and what they are."""
    found = result.instances
    if not found:
        return {"classes (clips)": str(result.classes)}
    return {
        "classes (patches)": str(result.classes),
        "patches of all clips": f"{found['instances']}, {found['moving']} of them move",
        "clips, without a patch, unreadable": f"{found['clips']}, {found['without']}, {found['unreadable']}",
    }


def _probed(result: TrainedEmbedder) -> dict[str, str]:
    """Return the probe's row, where there was a probe."""
    probe = result.probe
    if not probe:
        return {}
    interval = f"{probe['auc_low']:.3f}–{probe['auc_high']:.3f}"
    return {"probe AUC (95 %)": f"{probe['auc']:.3f} ({interval}), epoch {result.best['epoch']:g}"}


def _waiting(share: float) -> str:
    """A step that waits could be doing its work: says what to change where it waits for long."""
    advice = "; raise --loader-threads, or give the workers more cores" if share > _MUCH_WAITING else ""
    return f"{share:.1%}{advice}"
