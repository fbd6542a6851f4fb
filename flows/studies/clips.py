"""Table 4: effect of the number of training clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.studies.benchmarked import settings_table
from ssat.embedding.clip_split import split_clips
from ssat.embedding.settings import TrainSettings
from ssat.file_names import REPORT_FILE
from ssat.frames.store import FrameStore
from ssat.pipeline.benchmark_inputs import data_digest, prepare
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.html import ReportFigure, ReportTable, write_report
from ssat.report.study_plots import clips_figure
from ssat.report.tables import score_rows
from ssat.studies.intervals import confidence_interval
from ssat.studies.published import SOURCE, TABLE_4, TABLE_4_CLIPS
from ssat.studies.results import ClipsRow, ClipsStudy, ClipsTraining, MeanOverSeeds
from ssat.studies.settings import ClipsStudySettings
from ssat.workspace import Workspace
from tasks.held_out import common_recall
from tasks.mlflow_run import Dataset
from tasks.moments import timelines
from tasks.study import Study, StudyResult, log_scores
from tasks.train import train_embedder

_METRICS = ("idf1", "mota", "idsw", "recall_at_1")


def clips_study(
    place: Workspace, settings: ClipsStudySettings, train: TrainSettings, benchmark: BenchmarkSettings
) -> StudyResult[ClipsStudy]:
    """Train with every number of clips and every seed, track with each, and compare the scores.

    A training or benchmark that was done before is not done again. `train` says all but clips, seed and, with
    `same_steps`, epochs.

    Raises:
        InputError: the frame store has fewer clips than the largest number and the held-out ones.
    """
    base = benchmark.model_copy(update={"tracker": "ssat", "video": False})
    numbers = sorted(settings.clips)
    store = FrameStore.open(place.frames)
    # The study is of the network: what is kept must not change from one number of clips to the next.
    train = train.model_copy(update={"colours": False})
    largest = train.model_copy(update={"clips": numbers[-1]})
    split_clips(largest.data, store.class_ids.tolist())  # report too few clips before the work
    prepared, _ = prepare(base)
    digests = {"data": data_digest(prepared), "frame store": store.digest}
    study = Study(place, "clips", {"study_clips": settings, "train": largest, "benchmark": base}, digests)
    if (result := study.finished(ClipsStudy)) is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            trained = []
            for seed in settings.seeds:
                smaller: str | None = None
                for clips in numbers:
                    training = _training(settings, train, clips, numbers[-1], seed, smaller)
                    with study.child(f"{clips} clips, seed {seed}", training.model_dump(mode="json")) as child:
                        made = train_embedder(place, training)
                        embedder = place.absolute(made.embedder)
                        scored = run_stage(
                            BENCHMARK, str(place.root), base.model_copy(update={"embedder": str(embedder)})
                        )
                        log_scores(child, scored)
                        recall = common_recall(place, largest, embedder)
                        child.scalars({"recall_at_1": recall, "clips": clips}, 0)
                    scores = scored.overall.scores
                    assert scores is not None  # noqa: S101 - the split has labels; for the type checker
                    trained.append(
                        ClipsTraining(
                            clips=clips,
                            seed=seed,
                            steps=made.steps,
                            recall_at_1=recall,
                            probe_auc=made.probe.get("auc"),
                            idf1=scores.idf1,
                            mota=scores.mota,
                            idsw=scores.idsw,
                            embedder=made.embedder,
                            benchmark=scored.folder,
                            mlflow_run_id=made.mlflow_run_id,
                        )
                    )
                    smaller = str(embedder.parent) if settings.warm else None
            result = _finish(study, reporter, settings, prepared, base, numbers, trained)
    create_table_artifact(table=list(result.content.table), key="study-clips", description=result.report)
    return result


def _training(
    settings: ClipsStudySettings, train: TrainSettings, clips: int, most: int, seed: int, smaller: str | None
) -> TrainSettings:
    values: dict[str, Any] = {"clips": clips, "seed": seed}
    if settings.same_steps:
        values["epochs"] = round(train.schedule.epochs * most / clips)
    if smaller is not None:
        values["warm_start"] = smaller
    return train.model_copy(update=values)


def _finish(
    study: Study,
    reporter: Any,
    settings: ClipsStudySettings,
    prepared: Any,
    base: BenchmarkSettings,
    numbers: list[int],
    trained: list[ClipsTraining],
) -> StudyResult[ClipsStudy]:
    rows, table = [], []
    metrics = _metrics(trained)
    for clips in numbers:
        of = [training for training in trained if training.clips == clips]
        means: dict[str, MeanOverSeeds] = {}
        shown: dict[str, str | int] = {"clips": clips, "seeds": len(of), "steps": of[0].steps}
        for metric in metrics:
            values = tuple(float(getattr(training, metric)) for training in of)
            interval = confidence_interval(values, settings.confidence)
            means[metric] = MeanOverSeeds(interval.mean, interval.half, values)
            scale = 1 if metric == "idsw" else 100
            half = "" if math.isnan(interval.half) else f" ± {scale * interval.half:.1f}"
            shown[_HEADINGS[metric]] = f"{scale * interval.mean:.1f}{half}"
        rows.append(ClipsRow(clips, means))
        table.append(shown)
    published = [(clips, row.as_json()) for clips, row in zip(TABLE_4_CLIPS, TABLE_4, strict=True)]
    path = clips_figure([row.as_json() for row in rows], published, study.folder / "clips.png", metrics)
    first_seed = {
        f"{training.clips} clips": study.workspace.absolute(training.benchmark)
        for training in trained
        if training.seed == settings.seeds[0]
    }
    lines = timelines(prepared, base.protocol, first_seed, study.folder)
    per_cent = round(100 * settings.confidence)
    notes = [
        f"Mean and {per_cent} % interval (Student) over the seeds {', '.join(map(str, settings.seeds))}. "
        + ("As many steps for every number of clips." if settings.same_steps else "The same epochs for every number.")
        + (" Each training starts from the next smaller one." if settings.warm else ""),
        "Held-out recall is measured on the same clips for all, which none of the trainings has seen.",
        *(["Probe AUC is that of the weights that it chose on the same footage, at 1 and 3 s."] * (len(metrics) > 4)),
        f"Split {base.split}, protocol {base.protocol}.",
    ]
    report = write_report(
        study.folder / REPORT_FILE,
        title="Study: number of training clips",
        notes=notes,
        tables=[
            ReportTable("Means over seeds", table, "IDF1, MOTA and recall in percent."),
            ReportTable(
                "Published: Table 4, MOT17 validation half",
                score_rows({row.method: row.as_json() for row in TABLE_4}, first="clips"),
                f"{SOURCE}. Other sequences, other detections, ResNet-50.",
            ),
            ReportTable("Every training", [_shown(training) for training in trained]),
            settings_table(study),
            ReportTable("Data, networks, versions", study.facts()),
        ],
        figures=[ReportFigure("Scores against the number of clips", path, "A dot is a seed."), *lines],
    )
    content = ClipsStudy(
        protocol=base.protocol,
        rows=tuple(rows),
        trainings=tuple(trained),
        published=tuple(TABLE_4),
        table=tuple(table),
        notes=tuple(notes),
    )
    return study.finish(reporter, content, [report, path, *(figure.path for figure in lines)])


_HEADINGS = {
    "idf1": "IDF1",
    "mota": "MOTA",
    "idsw": "IDSW",
    "recall_at_1": "held-out recall at 1",
    "probe_auc": "probe AUC",
}


def _metrics(trained: Sequence[ClipsTraining]) -> tuple[str, ...]:
    """Return the metrics of the tables; the probe's where the trainings have one."""
    return (*_METRICS, "probe_auc") if all(training.probe_auc is not None for training in trained) else _METRICS


def _shown(training: ClipsTraining) -> dict[str, str | int]:
    numbers = {
        _HEADINGS[metric]: f"{value}" if metric == "idsw" else f"{100 * value:.1f}"
        for metric in _metrics([training])
        for value in [getattr(training, metric)]
    }
    return {
        "training": f"{training.clips} clips, seed {training.seed}",
        "steps": training.steps,
        **numbers,
        "MLflow run": training.mlflow_run_id,
    }
