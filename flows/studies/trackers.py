"""Tables 1 and 2: trackers on the same detections, with and without appearance."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.studies.benchmarked import finish_comparison, run_variants
from ssat.pipeline.benchmark_inputs import data_digest, prepare
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.association_speed import association_cpu_seconds
from ssat.studies.boxmot import BoxmotEnvironment, find_boxmot
from ssat.studies.published import TABLE_1, TABLE_2
from ssat.studies.results import ComparisonStudy
from ssat.studies.settings import BOXMOT, TrackersStudySettings, tracker_of
from ssat.tracking.baselines import make_tracker
from ssat.tracking.config import TrackerConfig
from ssat.workspace import Workspace
from tasks.benchmark import run_benchmark
from tasks.boxmot import Boxmot, known_features
from tasks.embedders import resolve_embedder
from tasks.mlflow_run import Dataset
from tasks.study import Study, StudyResult, log_scores
from tasks.tracklets import train_tracklet_embedder, unlabelled_digest

NAMES = {
    "ssat": "SSAT",
    "centertrack": "CenterTrack's association",
    "tracklets": "tracklet pseudo-labels",
    "sort": "SORT",
    "bytetrack": "ByteTrack",
    "oc-sort": "OC-SORT",
    "deepsort": "DeepSORT, our features",
    "box": "box term alone",
    "strong": "SSAT, preset strong",
    "strong-box": "preset strong, boxes alone",
}


def trackers_study(
    place: Workspace, settings: TrackersStudySettings, benchmark: BenchmarkSettings
) -> StudyResult[ComparisonStudy]:
    """Track the same detections with every tracker of `settings`.

    Where one of them needs frames, all of them track the sequences that have frames.
    """
    base = benchmark.model_copy(update={"video": False})
    for name in settings.trackers:
        # Report a missing package before the work; SORT makes the tracklets.
        make_tracker("sort" if name == "tracklets" else tracker_of(name), base.association, 30.0)
    environment = None if settings.boxmot_python is None else find_boxmot(settings.boxmot_python)
    prepared, skipped = prepare(base.model_copy(update={"tracker": "ssat" if settings.needs_appearance else "box"}))
    base = base.model_copy(update={"sequences": tuple(entry.sequence.listed_name for entry in prepared)})
    digests = {"data": data_digest(prepared)}
    if settings.needs_embedder:
        digests["embedder"] = resolve_embedder(base.embedder, place).digest
    if "tracklets" in settings.trackers:
        digests["unlabelled video"] = unlabelled_digest(settings)
    if environment is not None:
        digests["boxmot"] = environment.version
    study = Study(place, "trackers", {"benchmark": base, "study_trackers": settings}, digests)
    result = study.finished(ComparisonStudy)
    if result is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            notes = [f"Left out: {name} ({reason})." for name, reason in skipped.items()]
            variants = {}
            for name in settings.trackers:
                changes: dict[str, Any] = {"tracker": tracker_of(name)}
                if name == "tracklets":
                    changes["embedder"], note = _tracklet_embedder(study, settings, digests["unlabelled video"])
                    notes.append(note)
                if name in ("strong", "strong-box"):
                    with_frames = all(entry.sequence.has_frames for entry in prepared)
                    changes["association"] = TrackerConfig.strong(camera_motion=with_frames)
                    if not with_frames:
                        notes.append(f"{NAMES[name]}: without camera motion, because some sequences have no frames.")
                variants[NAMES[name]] = base.model_copy(update=changes)
            if base.refine == "none" and "centertrack" in settings.trackers:
                notes.append("CenterTrack's association without its network's offsets (--refine): they are zero.")
            found = run_variants(study, variants)
            rates = {name: _frames_per_cpu_second(place, variant) for name, variant in variants.items()}
            if environment is not None:
                others = _boxmot_benchmarks(study, settings, base, environment)
                found |= others
                rates |= {name: _recorded_rate(variant) for name, variant in others.items()}
                notes.append(
                    f"BoxMOT {environment.version} runs in its own environment with its own settings; frames that a "
                    "track stays lost are scaled to the frame rate. Its boxes are the detections, as for the others."
                )
            result = finish_comparison(
                study,
                reporter,
                prepared,
                found,
                title="Study: trackers on the same detections",
                published={
                    "Published: Table 1, MOT17 test, public detections (MT and ML in percent)": TABLE_1,
                    "Published: Table 2, MOT17 validation half, same refined detections": TABLE_2,
                },
                shown=NAMES[settings.trackers[0]],
                notes=notes,
                frames_per_cpu_second={name: rate for name, rate in rates.items() if rate is not None},
            )
    create_table_artifact(table=list(result.content.table), key="study-trackers", description=result.report)
    return result


def _tracklet_embedder(study: Study, settings: TrackersStudySettings, digest: str) -> tuple[str, str]:
    """Return the embedder that is trained on tracklets, and a note about it."""
    key = hashlib.sha256(json.dumps(digest).encode()).hexdigest()[:16]
    with study.child("train on tracklets", settings.tracklets.model_dump(mode="json")) as child:
        trained = train_tracklet_embedder(settings, study.workspace.training / f"tracklets-{key}", child)
    return trained.embedder, (
        f"Tracklet pseudo-labels: {trained.tracklets} tracklets of SORT with {trained.patches} "
        f"patches of {', '.join(trained.sequences)}; a {settings.tracklets.architecture} trained to "
        "name them (cross-entropy), its features in SSAT's tracker. It does not claim to reproduce "
        "UnsuperTrack."
    )


@flow(name="benchmark of BoxMOT", persist_result=False)
def _boxmot_benchmark(workspace: str, benchmark: BenchmarkSettings, boxmot: Boxmot) -> BenchmarkResult:
    return run_benchmark(Workspace.open(workspace), benchmark, boxmot)


def _boxmot_benchmarks(
    study: Study, settings: TrackersStudySettings, base: BenchmarkSettings, environment: BoxmotEnvironment
) -> dict[str, BenchmarkResult]:
    """Name → benchmark of each of BoxMOT's trackers, done now or before; a child run each."""
    found = {}
    for tracker in settings.boxmot_trackers:
        label, appearance = BOXMOT[tracker]
        details = ["BoxMOT"] + ["our features"] * appearance
        details += ["no camera motion"] * (appearance and not settings.boxmot_camera_motion)
        name = f"{label} ({', '.join(details)})"
        # Our association and its settings are not used; the tracker says whether appearance is used.
        changes = {"tracker": "ssat" if appearance else "box", "association": TrackerConfig()}
        benchmark = base.model_copy(update={**changes, "interpolate_seconds": 0.0})
        boxmot = Boxmot(environment, tracker, settings.boxmot_timeout_seconds, settings.boxmot_camera_motion)
        with study.child(name, benchmark.model_dump(mode="json") | {"tracker": boxmot.name}) as reporter:
            found[name] = _boxmot_benchmark(str(study.workspace.root), benchmark, boxmot)
            log_scores(reporter, found[name])
    return found


def _frames_per_cpu_second(place: Workspace, benchmark: BenchmarkSettings) -> float | None:
    """Speed of association alone; None if the tracks lead the detections."""
    if benchmark.refine != "none" or benchmark.detector is not None:
        return None
    embedder = resolve_embedder(benchmark.embedder, place) if benchmark.needs_appearance else None
    seconds, frames = 0.0, 0
    for entry in prepare(benchmark)[0]:
        features = None if embedder is None else known_features(entry, embedder, place.cache / "features")[0]
        make = partial(make_tracker, benchmark.tracker, benchmark.association, entry.sequence.frame_rate)
        seconds += association_cpu_seconds(entry, make, features)
        frames += len(entry.frames)
    return frames / max(seconds, 1e-9)


def _recorded_rate(benchmark: BenchmarkResult) -> float:
    files = benchmark.files.values()
    seconds = sum(tracked.association_cpu_seconds or 0.0 for tracked in files)
    return sum(tracked.n_frames for tracked in files) / max(seconds, 1e-9)
