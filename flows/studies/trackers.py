"""Tables 1 and 2: trackers on the same detections, with and without appearance."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.studies.benchmarked import finish_comparison, run_variants
from ssat.pipeline.benchmark_inputs import data_digest, prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.studies.published import TABLE_1, TABLE_2
from ssat.studies.results import ComparisonStudy
from ssat.studies.settings import TrackersStudySettings, tracker_of
from ssat.tracking.baselines import make_tracker
from ssat.workspace import Workspace
from tasks.embedders import resolve_embedder
from tasks.mlflow_run import Dataset
from tasks.study import Study, StudyResult
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
}


@flow(name="study trackers", persist_result=False)
def trackers_study(
    workspace: str, settings: TrackersStudySettings, benchmark: BenchmarkSettings
) -> StudyResult[ComparisonStudy]:
    """Tracks the same detections with every tracker of `settings`.

    Where one of them needs frames, all of them track the sequences that have frames.
    """
    place = Workspace.open(workspace)
    base = benchmark.model_copy(update={"video": False})
    for name in settings.trackers:
        # A package that is missing is found before the work; SORT makes the tracklets.
        make_tracker("sort" if name == "tracklets" else tracker_of(name), base.association, 30.0)
    prepared, skipped = prepare(base.model_copy(update={"tracker": "ssat" if settings.needs_appearance else "box"}))
    chosen = tuple(one.sequence.folder.resolve().name for one in prepared)
    digests = {"data": data_digest(prepared)}
    if {"ssat", "deepsort"} & set(settings.trackers):
        digests["embedder"] = resolve_embedder(base.embedder, place).digest
    if "tracklets" in settings.trackers:
        digests["unlabelled video"] = unlabelled_digest(settings)
    study = Study(place, "trackers", {"benchmark": base, "study_trackers": settings}, digests)
    result = study.finished(ComparisonStudy)
    if result is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            variants, notes = {}, [f"Left out: {name} ({reason})." for name, reason in skipped.items()]
            for name in settings.trackers:
                embedder = base.embedder
                if name == "tracklets":
                    key = hashlib.sha256(json.dumps(digests["unlabelled video"]).encode()).hexdigest()[:16]
                    with study.child("train on tracklets", settings.tracklets.model_dump(mode="json")) as child:
                        trained = train_tracklet_embedder(settings, place.training / f"tracklets-{key}", child)
                    embedder = trained.embedder
                    notes.append(
                        f"Tracklet pseudo-labels: {trained.tracklets} tracklets of SORT with {trained.patches} "
                        f"patches of {', '.join(trained.sequences)}; a {settings.tracklets.architecture} trained to "
                        "name them (cross-entropy), its features in SSAT's tracker. It does not claim to reproduce "
                        "UnsuperTrack."
                    )
                variants[NAMES[name]] = base.model_copy(
                    update={"tracker": tracker_of(name), "embedder": embedder, "sequences": chosen}
                )
            if base.refine == "none" and "centertrack" in settings.trackers:
                notes.append("CenterTrack's association without its network's offsets (--refine): they are zero.")
            found = run_variants(study, variants)
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
            )
    create_table_artifact(table=list(result.content.table), key="study-trackers", description=result.report)
    return result
