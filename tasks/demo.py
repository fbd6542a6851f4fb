"""The demo's own work: render its world, compare three trackers, write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from ssat.demo.settings import DemoSettings
from ssat.demo.world import SEQUENCES, world_folder, write_clips, write_sequences
from ssat.workspace import Workspace, committed
from tasks.progress import progress_bar

METHODS = ("ssat", "box", "untrained")
TITLES = {"ssat": "SSAT", "box": "box term alone", "untrained": "SSAT, untrained network"}
_STILLS = 4


@task(name="render-world", persist_result=False, cache_policy=NO_CACHE)
def render_world(workspace: Workspace, settings: DemoSettings) -> dict[str, Path]:
    """Renders what the workspace lacks of the demo's world: "clips" (the list) and "mot" (the folder of sequences)."""
    world = world_folder(workspace.root, settings)
    with progress_bar("rendering", settings.clips + len(SEQUENCES)) as advance:
        clips = write_clips(world / "clips", settings, advance=advance)
        mot = write_sequences(world / "mot", settings, advance=advance)
    return {"clips": clips, "mot": mot}


def scores_of(benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Method → mota and idf1 (fractions) and idsw (count), over both sequences."""
    return {
        method: {"mota": overall["mota"], "idf1": overall["idf1"], "idsw": overall["idsw"]}
        for method, overall in ((method, benchmarks[method]["overall"]) for method in METHODS)
    }


def wins(scores: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the trained network has the highest IDF1."""
    return all(scores["ssat"]["idf1"] > scores[other]["idf1"] for other in METHODS if other != "ssat")


@task(name="report-demo", persist_result=False, cache_policy=NO_CACHE)
def report_demo(
    workspace: Workspace,
    settings: DemoSettings,
    mot: Path,
    benchmarks: Mapping[str, Mapping[str, Any]],
    history: Sequence[Mapping[str, float]],
    minutes: Mapping[str, float],
) -> dict[str, str]:
    """Writes demo.json, report.html and demo.mp4 to the workspace's root; gives their paths.

    Args:
        mot: folder of the sequences.
        benchmarks: method → result of `benchmark_flow`.
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
        {TITLES[method]: values for method, values in scores.items()},
        pictures / "scores.png",
        metrics=(("idf1", "IDF1"), ("mota", "MOTA")),
        title="Both sequences",
    )
    overall = {TITLES[method]: benchmarks[method]["overall"] for method in METHODS}
    each = {
        f"{name}, {TITLES[method]}": benchmarks[method]["sequences"][name] for name in SEQUENCES for method in METHODS
    }
    report = write_report(
        root / "report.html",
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
        temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    return {"json": str(summary), "report": str(report), "video": str(video)}


def result_file(workspace: Workspace, benchmark: Mapping[str, Any], sequence: str) -> Path:
    """The MOTChallenge result file that a benchmark wrote for a sequence."""
    return workspace.absolute(f"{benchmark['folder']}/{benchmark['files'][sequence]['results']}")
