"""The demo's own work: render its world, compare three trackers, write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.demo.settings import DemoSettings
from ssat.demo.world import SEQUENCES, world_folder, write_clips, write_sequences
from ssat.file_names import REPORT_FILE
from ssat.json_values import json_values
from ssat.pipeline.benchmark_result import BenchmarkResult, Scored
from ssat.workspace import Workspace, committed
from tasks.progress import progress_bar
from tasks.trained import TrainedEmbedder

METHODS = ("ssat", "box", "untrained")
TITLES = {"ssat": "SSAT", "box": "box term alone", "untrained": "SSAT, untrained network"}
_STILLS = 4


@dataclass(frozen=True)
class World:
    """The demo's rendered world: the list of its clips, and the folder of its sequences."""

    clips: Path
    mot: Path


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method over both sequences: shares of 1 and a count."""

    mota: float
    idf1: float
    idsw: int


@dataclass(frozen=True)
class DemoFiles:
    """Paths of the demo's files: scores, page and video."""

    json: str
    report: str
    video: str


@dataclass(frozen=True)
class DemoResult:
    """Three trackers on the rendered world.

    Attributes:
        scores: method → its scores over both sequences.
        won: the trained network has the highest IDF1.
        minutes: by stage.
        all: title of a method → what its benchmark measured over both sequences.
        benchmark: of the trained network.
    """

    scores: dict[str, MethodScores]
    won: bool
    files: DemoFiles
    minutes: dict[str, float]
    train: TrainedEmbedder
    all: dict[str, Scored]
    benchmark: BenchmarkResult

    def as_json(self) -> Mapping[str, object]:
        """Return each method's scores under its name, and the scores of the benchmark; without the training."""
        return {
            **self.scores,
            "won": self.won,
            "files": self.files,
            "minutes": self.minutes,
            "all": self.all,
            "sequences": self.benchmark.sequences,
            "overall": self.benchmark.overall,
        }


@task(name="render-world", persist_result=False, cache_policy=NO_CACHE)
def render_world(workspace: Workspace, settings: DemoSettings) -> World:
    """Render what the workspace lacks of the demo's world."""
    world = world_folder(workspace.root, settings)
    with progress_bar("rendering", settings.clips + len(SEQUENCES)) as advance:
        clips = write_clips(world / "clips", settings, advance=advance)
        mot = write_sequences(world / "mot", settings, advance=advance)
    return World(clips, mot)


def scores_of(benchmarks: Mapping[str, BenchmarkResult]) -> dict[str, MethodScores]:
    """Method → its scores."""
    found = {}
    for method in METHODS:
        scores = benchmarks[method].overall.scores
        assert scores is not None  # noqa: S101 - the demo's sequences have labels; for the type checker
        found[method] = MethodScores(scores.mota, scores.idf1, scores.idsw)
    return found


def wins(scores: Mapping[str, MethodScores]) -> bool:
    """Return whether the trained network has the highest IDF1."""
    return all(scores["ssat"].idf1 > scores[other].idf1 for other in METHODS if other != "ssat")


@task(name="report-demo", persist_result=False, cache_policy=NO_CACHE)
def report_demo(
    workspace: Workspace,
    settings: DemoSettings,
    mot: Path,
    benchmarks: Mapping[str, BenchmarkResult],
    history: Sequence[Mapping[str, float]],
    minutes: Mapping[str, float],
) -> DemoFiles:
    """Write demo.json, report.html and demo.mp4 to the workspace's root.

    Args:
        mot: folder of the sequences.
        benchmarks: method → result of its benchmark.
        history: of the training, a row per epoch.
        minutes: stage → minutes it took.
    """
    from ssat.demo.showcase import write_showcase
    from ssat.mot.find import find_sequences
    from ssat.report.html import ReportFigure, ReportTable, ReportVideo, write_report
    from ssat.report.plots import score_bars, training_curves
    from ssat.report.tables import score_rows

    root, pictures = workspace.root, workspace.root / "pictures"
    video, stills = root / "demo.mp4", pictures / "tracks.png"
    results = {
        name: {TITLES[method]: result_file(workspace, benchmarks[method], name) for method in ("box", "ssat")}
        for name in SEQUENCES
    }
    write_showcase(find_sequences(mot), results, video, stills, _STILLS)
    curves = training_curves(history, pictures / "training.png")
    scores = scores_of(benchmarks)
    bars = score_bars(
        {TITLES[method]: asdict(values) for method, values in scores.items()},
        pictures / "scores.png",
        metrics=(("idf1", "IDF1"), ("mota", "MOTA")),
        title="Both sequences",
    )
    overall = {TITLES[method]: benchmarks[method].overall.as_json() for method in METHODS}
    each = {
        f"{name}, {TITLES[method]}": benchmarks[method].sequences[name].as_json()
        for name in SEQUENCES
        for method in METHODS
    }
    report = write_report(
        root / REPORT_FILE,
        title="SSAT demo: a rendered world",
        notes=[
            f"Everything here was rendered by this program with seed {settings.seed}: {settings.clips} clips without "
            f"labels to learn from, and two sequences of other figures in other places to track, {settings.frames} "
            "frames each. The detections (with misses, jitter and false alarms) are the same for all three trackers. "
            "The scores say that the pipeline works, not how well it would do on real video.",
        ],
        tables=[
            ReportTable(
                "Scores over both sequences", score_rows(overall, first="tracker"), "Protocol centertrack-half."
            ),
            ReportTable("Scores by sequence", score_rows(each, first="sequence and tracker")),
            ReportTable("Minutes", [{"stage": stage, "minutes": f"{value:.2f}"} for stage, value in minutes.items()]),
        ],
        figures=[
            ReportFigure("IDF1 and MOTA", bars),
            ReportFigure("Training", curves, "Every clip is a class; the accuracy is that of telling clips apart."),
            ReportFigure("Tracks", stills, "The same moments, tracked by place alone and with appearance."),
        ],
        videos=[ReportVideo("All frames, box term alone beside SSAT", video)],
    )
    summary = root / "demo.json"
    with committed(summary) as temporary:
        temporary.write_text(json.dumps(json_values(scores), indent=2) + "\n", encoding="utf-8")
    return DemoFiles(str(summary), str(report), str(video))


def result_file(workspace: Workspace, benchmark: BenchmarkResult, sequence: str) -> Path:
    """Return the MOTChallenge result file that a benchmark wrote for a sequence."""
    return workspace.absolute(f"{benchmark.folder}/{benchmark.files[sequence].results}")
