"""Track and score the sequences of a benchmark; record result files, scores and a report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ssat.file_names import REPORT_FILE, SUBMISSION_FILE
from ssat.mot.rows import MotRows, read_results
from ssat.mot.scores import Scoring, ToScore
from ssat.mot.sequence import by_public_detector
from ssat.mot.submission import check_submission, write_submission
from ssat.once import once
from ssat.pipeline.benchmark_inputs import Prepared, data_digest
from ssat.pipeline.benchmark_result import BenchmarkResult, PackedSubmission, Scored, Speed
from ssat.pipeline.ceiling import CeilingInput, Ceilings
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.tables import score_rows
from ssat.workspace import Workspace
from tasks.boxmot import Boxmot, track_sequences_with_boxmot
from tasks.detectors import resolve_detector
from tasks.embedders import resolve_embedder
from tasks.environment import available_cpus
from tasks.fan_out import Networks, track_sequences, tracked_detections
from tasks.finished import LocatedBenchmark, locate_benchmark
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, mlflow_run
from tasks.recorded import logged_model_of

EXPERIMENT = "ssat-benchmark"
_MODEL_SCORES = ("idf1", "mota", "hota", "assa", "idsw")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkScores:
    """Scores per sequence, per public detector of MOT17 where there are several, and over all sequences."""

    sequences: dict[str, Scored]
    detectors: dict[str, Scored]
    overall: Scored


@task(name="score results", persist_result=False, cache_policy=NO_CACHE)
def score_benchmark(
    prepared: list[Prepared],
    settings: BenchmarkSettings,
    folder: Path,
    tracked: dict[str, SequenceResult],
    detected: Mapping[str, MotRows],
) -> BenchmarkScores:
    """Score what stands in the result files, with frames per second. Of the split `test` there is speed alone.

    Args:
        detected: sequence → the detections that were tracked, for the ceiling; empty if the tracks lead the
            detector, so that no other association would have had the same ones.
    """
    if settings.split == "test":
        alone = {name: Scored(None, None, Speed.of([result])) for name, result in tracked.items()}
        return BenchmarkScores(alone, {}, Scored(None, None, Speed.of(list(tracked.values()))))
    to_score, ceilings = {}, None
    if detected:
        inputs = {
            entry.sequence.name: CeilingInput(
                detected[entry.sequence.name],
                entry.truth,
                entry.frames,
                entry.sequence.rules,
                entry.sequence.frame_rate,
            )
            for entry in prepared
        }
        ceilings = Ceilings(inputs, settings.protocol, available_cpus())
    for entry in prepared:
        name = entry.sequence.name
        results = read_results(folder / tracked[name].results, entry.sequence.n_frames)
        to_score[name] = ToScore(entry.truth, results, entry.frames, entry.sequence.rules)
    scoring = Scoring(to_score, settings.protocol, available_cpus())

    def over(names: Sequence[str]) -> Scored:
        ceiling = None if ceilings is None else ceilings.over(*names)
        return Scored(scoring.over(*names), ceiling, Speed.of([tracked[name] for name in names]))

    sequences = {name: over([name]) for name in tracked}
    detectors = {detector: over(list(names)) for detector, names in by_public_detector(tracked).items()}
    return BenchmarkScores(sequences, detectors, over(list(tracked)))


def pack_submission(folder: Path, tracked: dict[str, SequenceResult]) -> PackedSubmission:
    """Return the result files as a zip for the server, and what it would say of it."""
    path = write_submission(
        folder / SUBMISSION_FILE, {name: folder / result.results for name, result in tracked.items()}
    )
    found = check_submission(path)
    return PackedSubmission(SUBMISSION_FILE, found.benchmark, tuple(found.faults), tuple(found.warnings))


def run_benchmark(place: Workspace, settings: BenchmarkSettings, boxmot: Boxmot | None = None) -> BenchmarkResult:
    """Track and score the sequences of a folder, inside of a flow; the same benchmark is not done twice.

    Args:
        place: the workspace.
        settings: of the benchmark; with `boxmot` its tracker only says whether appearance is used.
        boxmot: tracks instead of our trackers.
    """
    located = locate_benchmark(place, settings)
    if boxmot is not None:
        located = replace(located, folder=located.folder.with_name(f"{located.folder.name}-{boxmot.slug}"))
    result = once(
        located.result_file, BenchmarkResult.load, lambda: _tracked_and_scored(place, located, boxmot), lock=None
    )
    create_table_artifact(
        table=score_rows(result.rows(), result.overall.as_json()),
        key="benchmark",
        description=f"{result.headline}; MLflow run {result.mlflow_run_id}",
    )
    return result


def _tracked_and_scored(place: Workspace, located: LocatedBenchmark, boxmot: Boxmot | None) -> BenchmarkResult:
    """The benchmark in an MLflow run; its result is committed last."""
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
    _score_model(reporter, result, Path(str(recorded["mot"])))
    reporter.table("scores", score_rows(result.rows(), result.overall.as_json()))
    for path in files:
        reporter.file(path)
    for tracked in result.files.values():
        for file, into in ((tracked.results, "results"), (tracked.video, "videos"), (tracked.picture, "pictures")):
            if file is not None:
                reporter.file(folder / file, into)


def _score_model(reporter: MlflowReporter, result: BenchmarkResult, data: Path) -> None:
    """Report the overall scores of a registered embedder with its logged model, for this data set."""
    from mlflow import MlflowClient

    if result.embedder_digest is None or result.overall.scores is None:
        return
    try:
        model = logged_model_of(MlflowClient(reporter.tracking_uri), result.embedder_digest)
    except Exception as error:  # noqa: BLE001 - whatever the tracking server does, the work must go on
        _LOG.warning("MLflow: the scores were not reported with the embedder's model (%s)", type(error).__name__)
        return
    if model is not None:
        numbers = result.overall.numbers()
        name = f"{data.expanduser().resolve().name} {result.split} {result.protocol}"
        reporter.model_scalars({key: numbers[key] for key in _MODEL_SCORES}, model, name, result.data_digest)


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
