"""Benchmark: MOTChallenge sequences in; result files, scores, videos and a report out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from ssat.pipeline.benchmark_inputs import Prepared, data_digest, prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.tables import score_rows
from ssat.workspace import Workspace, committed
from tasks.benchmark import RESULT_FILE, benchmark_folder, pack_submission, score_benchmark
from tasks.boxmot import Boxmot, track_sequences_with_boxmot
from tasks.calibration import with_stored_calibration
from tasks.detectors import resolve_detector
from tasks.fan_out import Networks, track_sequences, tracked_detections
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset, mlflow_run

if TYPE_CHECKING:
    from ssat.embedding.protocol import PatchEmbedder

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
    prepared, skipped = prepare(settings)
    embedder = _embedder(settings, place)
    settings = with_stored_calibration(settings, embedder, place)
    digest = embedder.digest if embedder is not None else None
    detector, refiner = resolve_detector(settings, place)
    used = detector or refiner
    by = None if boxmot is None else boxmot.name
    folder = benchmark_folder(place, settings, prepared, digest, None if used is None else used.digest, by)
    result_file = folder / RESULT_FILE
    if result_file.is_file():
        result = {**json.loads(result_file.read_text()), "reused": True}
    else:
        folder.mkdir(parents=True, exist_ok=True)
        dataset = Dataset("mot", data_digest(prepared), str(Path(settings.mot).expanduser().resolve()))
        tags = {"protocol": settings.protocol, "split": settings.split, "embedder_digest": digest or "none"}
        if used is not None:
            tags |= {"detector": used.name, "detector_sha256": used.digest}
        recorded = settings.model_dump(mode="json") | ({} if by is None else {"tracker": by})
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
                "skipped": skipped,
                "mlflow_run_id": reporter.run_id,
            }
            _report(reporter, result, prepared, folder, settings)
        with committed(result_file) as temporary:
            temporary.write_text(json.dumps(result, indent=1))
        result["reused"] = False
    create_table_artifact(
        table=score_rows(result["sequences"], result["overall"]),
        key="benchmark",
        description=f"{headline(result)}; MLflow run {result['mlflow_run_id']}",
    )
    return result


def headline(result: dict[str, Any]) -> str:
    """What a benchmark's numbers belong to, in one line: the protocol is never left out."""
    chosen = f", score ≥ {result['min_score']:g}" if result["min_score"] is not None else ""
    appearance = ""
    if result["embedder_digest"] is not None:
        appearance = f", embedder {result['embedder'] or 'of the latest training'} ({result['embedder_digest'][:8]})"
    source = f"{result['detections']} detections{chosen}"
    if result["detector"] is not None:
        source = f"detections of {result['detector']} ({result['detector_sha256'][:8]})"
        if result["refine"] != "none":
            source += f", refined {result['refine']}"
    # Results of earlier versions do not know them, and other trackers have constants of their own.
    departures = result.get("departures", []) if result["tracker"] in ("ssat", "box") else []
    changed = "".join(f", {one}" for one in departures)
    beyond = f", beyond the paper: {', '.join(result['extensions'])}" if result["extensions"] else ""
    scored = f"protocol {result['protocol']}" if result["split"] != "test" else "which the server scores"
    how = f"{result['tracker']} on {source}{appearance}{changed}{beyond}"
    return f"{how}, split {result['split']}, {scored}"


def _embedder(settings: BenchmarkSettings, workspace: Workspace) -> PatchEmbedder | None:
    if not settings.needs_appearance:
        return None
    from tasks.embedders import resolve_embedder

    return resolve_embedder(settings.embedder, workspace, reid=settings.reid)


def _report(
    reporter: MlflowReporter,
    result: dict[str, Any],
    prepared: list[Prepared],
    folder: Path,
    settings: BenchmarkSettings,
) -> None:
    if result["submission"] is not None:
        files = [folder / result["submission"]["file"]]
    else:
        files = _page(result, prepared, folder, settings)
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


def _page(result: dict[str, Any], prepared: list[Prepared], folder: Path, settings: BenchmarkSettings) -> list[Path]:
    from ssat.report.benchmark import write_benchmark_report
    from tasks.environment import environment_facts, git_commit
    from tasks.moments import timeline, worst_moments

    switches = timeline(prepared, settings.protocol, folder)
    switches += worst_moments(prepared, settings.protocol, folder, folder)
    facts = {
        "data digest": result["data_digest"],
        "embedder digest": result["embedder_digest"] or "–",
        "detector digest": result["detector_sha256"] or "–",
        "commit": git_commit() or "–",
        **environment_facts()["versions"],
    }
    return write_benchmark_report(
        folder, headline(result), result, settings.model_dump(mode="json"), switches=switches, facts=facts
    )
