"""Benchmark: MOTChallenge sequences in; result files, scores, videos and a report out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.pipeline.settings import BenchmarkSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from ssat.pipeline.benchmark_result import BenchmarkResult


class Benchmark(Stage[BenchmarkSettings, "BenchmarkResult"]):
    """Track MOTChallenge sequences and score the result."""

    name = "benchmark"
    settings = BenchmarkSettings
    presets = "association"
    examples = (
        "ssat benchmark --mot MOT17/train --sequences MOT17-09-FRCNN --split val-half --detections public "
        "--protocol motchallenge",
    )

    def needs(self, settings: BenchmarkSettings) -> Needs:
        from tasks.environment import ray_is_named

        # A local Ray is started only when there is enough to track.
        return Needs(ray=ray_is_named() and settings.side_by_side != "never", mlflow=True)

    def check(self, workspace: Workspace, settings: BenchmarkSettings) -> None:
        from tasks.checks import check_benchmark

        check_benchmark(workspace, settings)

    def check_ready(self, workspace: Workspace, settings: BenchmarkSettings) -> None:
        from tasks.embedders import check_embedder

        if settings.needs_appearance and settings.embedder is None:
            check_embedder(None, workspace)

    def finished(self, workspace: Workspace, settings: BenchmarkSettings) -> BenchmarkResult | None:
        from tasks.finished import finished_benchmark

        return finished_benchmark(workspace, settings)

    def run(self, workspace: Workspace, settings: BenchmarkSettings) -> BenchmarkResult:
        from tasks.benchmark import run_benchmark

        return run_benchmark(workspace, settings)

    def show(self, result: BenchmarkResult, workspace: Workspace, console: Console) -> None:
        from ssat.report.tables import score_table

        title = result.headline + (" (done before)" if result.reused else "")
        rows = result.rows() | {f"all {name}": scored.as_json() for name, scored in result.detectors.items()}
        console.print(score_table(rows, result.overall.as_json(), title))
        for name, reason in result.skipped.items():
            console.print(f"left out: {name}: {reason}", markup=False)
        for name, tracked in result.files.items():
            for note in tracked.notes:
                console.print(f"note: {name}: {note}", markup=False, soft_wrap=True)
        if submission := result.submission:
            zip_file = workspace.root / result.folder / submission.file
            console.print(f"for the server: {zip_file}", markup=False, soft_wrap=True)
            for kind, texts in (("fault", submission.faults), ("warning", submission.warnings)):
                for text in texts:
                    console.print(f"{kind}: {text}", markup=False, soft_wrap=True)
        if result.report:
            console.print(f"report: {workspace.root / result.report}", markup=False, soft_wrap=True)

    def message(self, result: BenchmarkResult) -> str:
        scores = result.overall.scores
        if scores is None:
            return f"zip for the server in {result.folder}"
        return f"IDF1 {100 * scores.idf1:.1f}; {result.report}"


STAGE = Benchmark()
