"""Learn colours: clips in, registered embedder out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.patches.settings import ColoursSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.colours import LearnedColours

_NO_SCORE = "not measured: no two patches of held-out clips are seen together"


class Colours(Stage[ColoursSettings, "LearnedColours"]):
    """Learn colour features from patches followed through the collected clips, in about a minute.

    Beyond the paper: no network is trained. Optical flow follows boxes through every clip; a colour histogram's cells,
    mean and whitening are taken from them. The result is an embedder like that of `ssat train`: what takes the latest
    training takes it.
    """

    name = "colours"
    settings = ColoursSettings
    examples = ("ssat colours --workspace workspace",)

    def needs(self, settings: ColoursSettings) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check_ready(self, workspace: Workspace, settings: ColoursSettings) -> None:
        from ssat.clips.roster import load_roster

        load_roster(workspace)

    def run(self, workspace: Workspace, settings: ColoursSettings) -> LearnedColours:
        from tasks.colours import learn_colours_task

        learned: LearnedColours = learn_colours_task(workspace, settings)
        return learned

    def show(self, result: LearnedColours, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        table = Table(title="learned colours" + (" (done before)" if result.reused else ""), show_header=False)
        scores = {name: f"{value:.3f}" for name, value in result.held_out.items() if name != "pairs"}
        rows = {
            "clips": str(result.clips),
            "of them without a patch, unreadable": f"{result.without_patches}, {result.unreadable}",
            "patches": f"{result.patches}, {result.moving} of them move",
            **({f"held-out {name}": text for name, text in scores.items()} or {"held-out score": _NO_SCORE}),
            "embedder": result.embedder,
            "MLflow run": result.mlflow_run_id,
        }
        for name, value in rows.items():
            table.add_row(name, value)
        console.print(table)

    def message(self, result: LearnedColours) -> str:
        return f"{result.embedder}, from {result.patches:,} patches"


STAGE = Colours()
