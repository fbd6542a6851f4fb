"""Tune: labelled sequences in; the settings that track them best out, reported on other sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.stage import Needs, Stage
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.settings import TuneSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from ssat.studies.results import TuningStudy
    from tasks.study import StudyResult

_SHOWN = ("sequences", "settings", "IDF1", "HOTA", "MOTA", "IDSW")  # the report has all scores


@dataclass(frozen=True)
class TuneBundle:
    """The settings of the tuning, and those of the tracking that is tuned."""

    settings: TuneSettings
    benchmark: BenchmarkSettings


class Tune(Stage[TuneBundle, "StudyResult[TuningStudy]"]):
    """Tune the preset strong on labelled sequences, and report the settings on other sequences.

    Detections come from files, features from the cache. Trials are kept: the same command continues where it stopped.
    The answer names a settings file for `ssat track --config` and `ssat benchmark --config`.
    """

    name = "tune"
    settings = TuneSettings
    bundle = TuneBundle
    decided = {  # noqa: RUF012
        "benchmark": frozenset(
            {"mot", "split", "sequences", "tracker", "video", "detector", "detector_score", "refine", "refinement"}
        )
    }
    filled = {"benchmark": {"mot": "report"}}  # noqa: RUF012
    own_presets = {"benchmark": "strong"}  # noqa: RUF012
    examples = ("ssat tune --train MOT17/train --report 2DMOT2015/train --embedder colour",)

    def needs(self, settings: TuneBundle) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check(self, workspace: Workspace, settings: TuneBundle) -> None:
        from ssat.pipeline.benchmark_inputs import sequences_of
        from ssat.studies.tuning import tuning_sides
        from tasks.embedders import check_embedder

        for folder in (settings.settings.train, settings.settings.report):
            sequences_of(settings.benchmark.model_copy(update={"mot": folder, "sequences": ()}))
        check_embedder(settings.benchmark.embedder, workspace)
        tuning_sides(settings.settings, settings.benchmark)

    def run(self, workspace: Workspace, settings: TuneBundle) -> StudyResult[TuningStudy]:
        from flows.tune import tune

        return tune(workspace, settings.settings, settings.benchmark)

    def show(self, result: StudyResult[TuningStudy], workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        done = " (done before)" if result.reused else ""
        scores = [{heading: row[heading] for heading in _SHOWN} for row in result.content.table]
        tables = {f"tune, protocol {result.content.protocol}{done}": scores, "settings": result.content.settings_table}
        for title, rows in tables.items():
            table = Table(title=title, title_justify="left")
            headings = list(rows[0])
            for n, heading in enumerate(headings):
                table.add_column(heading, justify="left" if n < 1 else "right")
            for row in rows:
                table.add_row(*(str(row[heading]) for heading in headings))
            console.print(table)
        for note in result.content.notes:
            console.print(note, markup=False, style="dim")
        console.print(f"settings: {workspace.root / result.content.settings_file}", markup=False, soft_wrap=True)
        console.print(f"report: {workspace.root / result.report}", markup=False, soft_wrap=True)

    def message(self, result: StudyResult[TuningStudy]) -> str:
        return result.report


STAGE = Tune()
