"""Demo: a small rendered world goes through every stage, and three trackers are compared on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.demo.settings import DemoSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.demo import DemoResult


class Demo(Stage[DemoSettings, "DemoResult"]):
    """Render a small world and run the whole pipeline on it; no account, data or GPU is needed.

    Clips without labels are rendered, served on loopback, collected, decoded and learned from; then two sequences with
    ground truth are tracked with SSAT, with its box term alone and with an untrained network, on the same detections.
    Everything is written to the folder `demo` of the workspace. Ends with exit code 1 if SSAT does not win on IDF1.

    With --tracking only the two sequences are rendered and tracked, by methods that need no training.
    """

    name = "demo"
    settings = DemoSettings
    examples = ("ssat demo --workspace workspace",)

    def needs(self, settings: DemoSettings) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check(self, workspace: Workspace, settings: DemoSettings) -> None:
        from ssat.demo.world import world_folder

        world_folder(workspace.root, settings)

    def run(self, workspace: Workspace, settings: DemoSettings) -> DemoResult:
        from flows.demo import run_demo

        return run_demo(workspace, settings)

    def show(self, result: DemoResult, workspace: Workspace, console: Console) -> None:
        from ssat.report.tables import score_table

        rows = {title: scored.as_json() for title, scored in result.all.items()}
        console.print(score_table(rows, None, "Rendered world, both sequences, same detections"))
        files, minutes = result.files, result.minutes
        for line in (
            f"scores  {files.json}",
            f"report  {files.report}",
            f"video   {files.video}",
            f"pages   ssat ui --workspace {workspace.root}   (starts the pages of Prefect and MLflow on loopback)",
            f"minutes {sum(minutes.values()):.1f}: "
            + ", ".join(f"{part} {value:.1f}" for part, value in minutes.items()),
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def message(self, result: DemoResult) -> str:
        return f"IDF1 {100 * result.scores['ssat'].idf1:.1f}; {result.files.report}"

    def failure(self, result: DemoResult) -> str:
        return "" if result.won else "SSAT did not win on IDF1: see the table; this is a defect of the demo"


STAGE = Demo()
