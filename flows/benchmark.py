"""Benchmark: MOTChallenge sequences in; result files, scores, videos and a report out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.file_names import REPORT_FILE
from ssat.pipeline.benchmark_inputs import Prepared, data_digest
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.tables import score_rows
from ssat.workspace import Workspace
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
def benchmark_flow(workspace: str, settings: BenchmarkSettings) -> BenchmarkResult:
    """Track and score the sequences of a folder; the same benchmark is not done twice."""
    return run_benchmark(Workspace.open(workspace), settings)


def run_benchmark(place: Workspace, settings: BenchmarkSettings, boxmot: Boxmot | None = None) -> BenchmarkResult:
    """Do what `benchmark_flow` does, inside of a flow.

    Args:
        place: the workspace.
        settings: of the benchmark; with `boxmot` its tracker only says whether appearance is used.
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
            scored = score_benchmark(prepared, settings, folder, tracked, detected)
            submission = pack_submission(folder, tracked) if settings.split == "test" else None
            result = BenchmarkResult(
                sequences=scored.sequences,
                detectors=scored.detectors,
                overall=scored.overall,
                split=settings.split,
                detections=settings.detections,
                min_score=settings.min_score,
                tracker=recorded["tracker"],
                protocol=settings.protocol,
                detector=None if used is None else used.name,
                detector_sha256=None if used is None else used.digest,
                refine=settings.refine,
                departures=tuple(settings.association.departures),
                extensions=tuple(settings.extensions),
                embedder=settings.embedder,
                embedder_digest=digest,
                data_digest=dataset.digest,
                folder=place.relative(folder),
                files=tracked,
                submission=submission,
                report=place.relative(folder / REPORT_FILE) if submission is None else None,
                skipped=located.skipped,
                mlflow_run_id=reporter.run_id,
            )
            _report(reporter, result, prepared, folder, recorded)
        result.save(located.result_file)
    create_table_artifact(
        table=score_rows(result.rows(), result.overall.as_json()),
        key="benchmark",
        description=f"{result.headline}; MLflow run {result.mlflow_run_id}",
    )
    return result


def _report(
    reporter: MlflowReporter,
    result: BenchmarkResult,
    prepared: list[Prepared],
    folder: Path,
    recorded: Mapping[str, Any],
) -> None:
    if result.submission is not None:
        files = [folder / result.submission.file]
    else:
        files = _page(result, prepared, folder, recorded)
    reporter.scalars(result.numbers(), 0)
    reporter.table("scores", score_rows(result.rows(), result.overall.as_json()))
    for path in files:
        reporter.file(path)
    for tracked in result.files.values():
        for file, into in ((tracked.results, "results"), (tracked.video, "videos"), (tracked.picture, "pictures")):
            if file is not None:
                reporter.file(folder / file, into)


def _page(result: BenchmarkResult, prepared: list[Prepared], folder: Path, recorded: Mapping[str, Any]) -> list[Path]:
    from ssat.report.benchmark import write_benchmark_report
    from tasks.environment import environment_facts, git_commit
    from tasks.moments import timeline, worst_moments

    switches = timeline(prepared, result.protocol, folder)
    switches += worst_moments(prepared, result.protocol, folder, folder)
    facts = {
        "data digest": result.data_digest,
        "embedder digest": result.embedder_digest or "–",
        "detector digest": result.detector_sha256 or "–",
        "commit": git_commit() or "–",
        **environment_facts().versions,
    }
    return write_benchmark_report(folder, result, recorded, switches=switches, facts=facts)
