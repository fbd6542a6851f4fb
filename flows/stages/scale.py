"""Scale: each run takes the ladder of training sizes one rung further, and promotes an embedder that tracks better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.stage import Needs, Stage, check_pipeline
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.settings import ScaleSettings
from ssat.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from ssat.scale.ladder import ClimbResult


@dataclass(frozen=True)
class ScaleBundle:
    """The settings of the climb, and those of the stages of a rung."""

    settings: ScaleSettings
    collect: CollectSettings
    decode: DecodeSettings
    train: TrainSettings
    benchmark: BenchmarkSettings


class Scale(Stage[ScaleBundle, "ClimbResult"]):
    """Run the next training size of the ladder; each run takes the next one.

    A rung is collected, decoded, trained from the one before and benchmarked; an embedder that tracks better than the
    champion is promoted, one that does not is reported. A run stops cleanly when a budget is spent and continues from
    there the next time.
    """

    name = "scale"
    settings = ScaleSettings
    bundle = ScaleBundle
    decided = {  # noqa: RUF012 - settings that each rung sets itself
        "collect": frozenset({"clips"}),
        "train": frozenset({"clips"}),
        "benchmark": frozenset({"embedder"}),
    }
    presets = "training"
    examples = (
        "ssat scale --source kinetics-600_test.csv --mot MOT17/train",
        "ssat scale --source videos/ --mot MOT17/train --hours 8 --gib 200 --rungs 3",
        "ssat scale --config ssat.toml --ladder 160 --ladder 320 --json",
    )

    def needs(self, settings: ScaleBundle) -> Needs:
        return Needs(ray=True, mlflow=True)

    def check(self, workspace: Workspace, settings: ScaleBundle) -> None:
        tracker = settings.benchmark.tracker
        if not settings.benchmark.needs_appearance:
            raise InputError(f"setting benchmark.tracker: {tracker} uses no features; expected ssat")
        check_pipeline(
            workspace,
            {
                "collect": settings.collect,
                "decode": settings.decode,
                "train": settings.train,
                "benchmark": settings.benchmark,
            },
        )

    def run(self, workspace: Workspace, settings: ScaleBundle) -> ClimbResult:
        from flows.scale import climb

        return climb(workspace, settings)

    def show(self, result: ClimbResult, workspace: Workspace, console: Console) -> None:
        from rich.table import Table

        table = Table(title="ladder of training sizes")
        for name in ("clips", "IDF1", "MOTA", "switches", "minutes"):
            table.add_column(name, justify="right")
        table.add_column("promoted")
        table.add_column("why", overflow="fold")
        for rung in result.ladder:
            scores = rung.overall
            table.add_row(
                f"{rung.clips:,}",
                f"{100 * scores['idf1']:.1f}",
                f"{100 * scores['mota']:.1f}",
                str(scores["idsw"]),
                f"{sum(rung.minutes.values()):.1f}",
                "yes" if rung.promoted else "no",
                rung.verdict,
            )
        console.print(table)
        console.print(result.summary, markup=False, highlight=False, soft_wrap=True)

    def message(self, result: ClimbResult) -> str:
        return result.summary


STAGE = Scale()
