"""Benchmark: MOTChallenge sequences in; result files, scores, videos and a report out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.mot.protocols import Protocol
from ssat.pipeline.benchmark_inputs import Prepared, data_digest
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.headline import headline
from ssat.report.tables import score_rows
from ssat.workspace import Workspace, committed
from tasks.benchmark import pack_submission, score_benchmark
from tasks.boxmot import Boxmot, track_sequences_with_boxmot
from tasks.detectors import resolve_detector
from tasks.embedders import resolve_embedder
from tasks.fan_out import Networks, track_sequences, tracked_detections
from tasks.finished import locate_benchmark
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, mlflow_run

EXPERIMENT = "ssat-benchmark"


@flow(name="benchmark", persist_result=False)
def benchmark_flow(workspace: str, settings: BenchmarkSettings) -> dict[str, Any]:
    """Tracks and scores the sequences of a folder; the same benchmark is not done twice.

    Gives "sequences", "detectors" (public ones of MOT17, where there are several) and "overall" (scores as shares,
    counts, fps, the ceiling of association on these detections), "protocol", "split", "folder" (result files and
    videos, relative to the workspace), "report",
    "skipped" (sequence → reason), "submission" (of the split `test`: the zip for the server, and what it would say of
    it), "mlflow_run_id" and "reused".
    """
    return run_benchmark(Workspace.open(workspace), settings)


def run_benchmark(place: Workspace, settings: BenchmarkSettings, boxmot: Boxmot | None = None) -> dict[str, Any]:
    """Do what `benchmark_flow` does, inside of a flow.

    Args:
        place: the workspace.
        settings: of the benchmark; with `boxmot` its tracker only says whether appearance is looked at.
        boxmot: tracks instead of our trackers.
    """
    located = locate_benchmark(place, settings)
    if boxmot is not None:
        located = replace(located, folder=located.folder.with_name(f"{located.folder.name}-{boxmot.slug}"))
    result = located.finished()
    if result is None:
        prepared, settings, folder, digest = located.prepared, located.settings, located.folder, located.embedder_digest
        embedder = None
        if settings.needs_appearance:
            embedder = resolve_embedder(settings.embedder, place, reid=settings.reid)
        detector, refiner = resolve_detector(settings, place)
        used = detector or refiner
        folder.mkdir(parents=True, exist_ok=True)
        dataset = Dataset("mot", data_digest(prepared), str(Path(settings.mot).expanduser().resolve()))
        tags = {"protocol": settings.protocol, "split": settings.split, "embedder_digest": digest or "none"}
        if used is not None:
            tags |= {"detector": used.name, "detector_sha256": used.digest}
        recorded = settings.model_dump(mode="json") | ({} if boxmot is None else {"tracker": boxmot.name})
        with mlflow_run(place, EXPERIMENT, f"benchmark-{folder.name}", recorded, tags, dataset) as reporter:
            networks = Networks(embedder, detector, refiner)
            if boxmot is None:
                tracked = track_sequences(prepared, settings, folder, place, networks)
            else:
                tracked = track_sequences_with_boxmot(prepared, settings, folder, place, networks, boxmot)
            detected = tracked_detections(prepared, settings, place, detector, refiner)
            sequences, detectors, overall = score_benchmark(prepared, settings, folder, tracked, detected)
            submission = pack_submission(folder, tracked) if settings.split == "test" else None
            result = {
                "sequences": sequences,
                "detectors": detectors,
                "overall": overall,
                **settings.model_dump(mode="json", include={"protocol", "split", "detections", "min_score"}),
                "tracker": recorded["tracker"],
                "detector": None if used is None else used.name,
                "detector_sha256": None if used is None else used.digest,
                "refine": settings.refine,
                "departures": list(settings.association.departures),
                "extensions": settings.extensions,
                "embedder": settings.embedder,
                "embedder_digest": digest,
                "data_digest": dataset.digest,
                "folder": place.relative(folder),
                "files": {name: one.to_json() for name, one in tracked.items()},
                "submission": submission,
                "report": place.relative(folder / "report.html") if submission is None else None,
                "skipped": located.skipped,
                "mlflow_run_id": reporter.run_id,
            }
            _report(reporter, result, prepared, folder, settings, recorded)
        with committed(located.result_file) as temporary:
            temporary.write_text(json.dumps(result, indent=1))
        result["reused"] = False
    create_table_artifact(
        table=score_rows(result["sequences"], result["overall"]),
        key="benchmark",
        description=f"{headline(result)}; MLflow run {result['mlflow_run_id']}",
    )
    return result


def _report(
    reporter: MlflowReporter,
    result: dict[str, Any],
    prepared: list[Prepared],
    folder: Path,
    settings: BenchmarkSettings,
    recorded: dict[str, Any],
) -> None:
    if result["submission"] is not None:
        files = [folder / result["submission"]["file"]]
    else:
        files = _page(result, prepared, folder, settings.protocol, recorded)
    numbers = {f"{name}/{key}": value for name, scores in result["sequences"].items() for key, value in scores.items()}
    numbers |= result["overall"]
    reporter.scalars({key: value for key, value in numbers.items() if isinstance(value, int | float)}, 0)
    reporter.table("scores", score_rows(result["sequences"], result["overall"]))
    for path in files:
        reporter.file(path)
    for names in result["files"].values():
        for kind, into in (("results", "results"), ("video", "videos"), ("picture", "pictures")):
            if kind in names:
                reporter.file(folder / names[kind], into)


def _page(
    result: dict[str, Any], prepared: list[Prepared], folder: Path, protocol: Protocol, recorded: dict[str, Any]
) -> list[Path]:
    from ssat.report.benchmark import write_benchmark_report
    from tasks.environment import environment_facts, git_commit
    from tasks.moments import timeline, worst_moments

    switches = timeline(prepared, protocol, folder)
    switches += worst_moments(prepared, protocol, folder, folder)
    facts = {
        "data digest": result["data_digest"],
        "embedder digest": result["embedder_digest"] or "–",
        "detector digest": result["detector_sha256"] or "–",
        "commit": git_commit() or "–",
        **environment_facts()["versions"],
    }
    return write_benchmark_report(folder, headline(result), result, recorded, switches=switches, facts=facts)
