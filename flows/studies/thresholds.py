"""The tracker's constants, and those of training if asked: a sweep, chosen on one split and reported on another."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.studies.benchmarked import settings_table
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.file_names import REPORT_FILE
from ssat.mot.score_values import Scores
from ssat.pipeline.benchmark_inputs import data_digest, prepare
from ssat.pipeline.benchmark_result import BenchmarkResult, Scored
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.html import ReportFigure, ReportTable, write_report
from ssat.report.study_plots import surfaces_figure
from ssat.studies.results import ChosenRow, SweptPoint, SweptTraining, ThresholdsStudy
from ssat.studies.settings import ThresholdsStudySettings
from ssat.studies.sweep import PARAMETERS, best_point, grid_points
from ssat.workspace import Workspace
from tasks.embedders import resolve_embedder
from tasks.mlflow_run import Dataset
from tasks.moments import timelines
from tasks.study import Study, StudyResult, log_scores
from tasks.sweep import sweep, sweep_sequences
from tasks.train import train_embedder

_DEFAULT = "default constants"
_CHOSEN = "chosen constants"


def thresholds_study(
    place: Workspace,
    settings: ThresholdsStudySettings,
    benchmark: BenchmarkSettings,
    train: TrainSettings | None = None,
) -> StudyResult[ThresholdsStudy]:
    """Score the tracker at every point of a grid on one split; report the best point on another.

    With margins or scales in `settings`, an embedder is trained (as `train` says) with each of them first, and the best
    one on the first split is used.
    """
    report_on = benchmark.model_copy(update={"tracker": "ssat", "video": False})
    choose_on = report_on.model_copy(
        update={
            "split": settings.choose_split,
            "mot": settings.choose_mot or report_on.mot,
            "sequences": settings.choose_sequences if settings.choose_mot else report_on.sequences,
            "detections": settings.choose_detections or report_on.detections,
            "min_score": settings.choose_min_score if settings.choose_mot else report_on.min_score,
        }
    )
    choosing, reporting = prepare(choose_on)[0], prepare(report_on)[0]
    digests = {"data chosen on": data_digest(choosing), "data reported on": data_digest(reporting)}
    if digests["data chosen on"] == digests["data reported on"]:
        raise InputError(
            f"setting study_thresholds.choose_split: {settings.choose_split} of the same sequences is also reported "
            "on; expected other frames. Choose on another split or other sequences"
        )
    models: dict[str, Any] = {"benchmark": report_on, "study_thresholds": settings}
    trained = [] if not (settings.margin or settings.scale) else _trainings(settings, train)
    if trained:
        models["train"] = trained[0][1]
    else:
        digests["embedder"] = resolve_embedder(report_on.embedder, place).digest
    study = Study(place, "thresholds", models, digests)
    if (result := study.finished(ThresholdsStudy)) is None:
        dataset = Dataset("mot", digests["data reported on"], str(Path(report_on.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            tried = []
            for name, training_settings in trained:
                with study.child(name, training_settings.model_dump(mode="json")) as child:
                    made = train_embedder(place, training_settings)
                    scored = run_stage(
                        BENCHMARK,
                        str(place.root),
                        choose_on.model_copy(update={"embedder": str(place.absolute(made.embedder))}),
                    )
                    log_scores(child, scored)
                tried.append(
                    SweptTraining(
                        training=name,
                        margin=training_settings.head.margin,
                        scale=training_settings.head.scale,
                        embedder=made.embedder,
                        scored=scored.overall,
                        recall_at_1=made.held_out.get("recall_at_1"),
                        probe_auc=made.probe.get("auc"),
                    )
                )
            if tried:
                best = max(tried, key=lambda training: _value(training.scored, settings.metric))
                embedder = str(place.absolute(best.embedder))
                choose_on = choose_on.model_copy(update={"embedder": embedder})
                report_on = report_on.model_copy(update={"embedder": embedder})
            # The benchmarks with default constants cache the features that the sweep reads.
            rows = {}
            for which, side in (("chosen on", choose_on), ("reported on", report_on)):
                with study.child(f"{_DEFAULT}, {which}", side.model_dump(mode="json")) as child:
                    rows[which, _DEFAULT] = run_stage(BENCHMARK, str(place.root), side)
                    log_scores(child, rows[which, _DEFAULT])
            network = resolve_embedder(choose_on.embedder, place)
            sequences = sweep_sequences(choosing, network.digest, network.input_size, place.cache / "features")
            points = grid_points(settings)
            scores = sweep(sequences, choose_on.association, points, choose_on.protocol)
            shape = tuple(len(getattr(settings, name)) for name in PARAMETERS)
            grid = np.array([float(getattr(score, settings.metric)) for score in scores]).reshape(shape)
            at = best_point(grid, _nearest_to_default(settings, report_on))
            chosen = {name: getattr(settings, name)[index] for name, index in zip(PARAMETERS, at, strict=True)}
            association = report_on.association.model_copy(update=chosen)
            for which, side in (("chosen on", choose_on), ("reported on", report_on)):
                tuned = side.model_copy(update={"association": association})
                with study.child(f"{_CHOSEN}, {which}", tuned.model_dump(mode="json")) as child:
                    rows[which, _CHOSEN] = run_stage(BENCHMARK, str(place.root), tuned)
                    log_scores(child, rows[which, _CHOSEN])
            result = _finish(study, reporter, settings, reporting, rows, grid, at, chosen, points, scores, tried)
    create_table_artifact(table=list(result.content.table), key="study-thresholds", description=result.report)
    return result


def _trainings(settings: ThresholdsStudySettings, train: TrainSettings | None) -> list[tuple[str, TrainSettings]]:
    # The study is of the loss of the network, which learned colours do not have.
    base = (train or TrainSettings.build("quick")).model_copy(update={"colours": False})
    return [
        (f"margin {margin:g}, scale {scale:g}", base.model_copy(update={"margin": margin, "scale": scale}))
        for margin, scale in itertools.product(
            settings.margin or (base.head.margin,), settings.scale or (base.head.scale,)
        )
    ]


def _nearest_to_default(settings: ThresholdsStudySettings, benchmark: BenchmarkSettings) -> list[int]:
    return [
        int(np.abs(np.array(getattr(settings, name)) - getattr(benchmark.association, name)).argmin())
        for name in PARAMETERS
    ]


def _finish(
    study: Study,
    reporter: Any,
    settings: ThresholdsStudySettings,
    reporting: Any,
    rows: dict[tuple[str, str], BenchmarkResult],
    grid: np.ndarray,
    at: tuple[int, ...],
    chosen: dict[str, float],
    points: list[tuple[float, ...]],
    scores: list[Scores],
    tried: list[SweptTraining],
) -> StudyResult[ThresholdsStudy]:
    from ssat.report.tables import score_rows

    table = [
        {"split": f"{result.split} ({which})", **row}
        for (which, name), result in rows.items()
        for row in score_rows({name: result.overall.as_json()}, first="constants")
    ]
    every = tuple(
        SweptPoint(dict(zip(PARAMETERS, point, strict=True)), score.idf1, score.mota, score.idsw)
        for point, score in zip(points, scores, strict=True)
    )
    ordered = sorted(every, key=lambda point: -point.idf1)
    figures = []
    if sum(len(getattr(settings, name)) > 1 for name in PARAMETERS) >= 2:
        values = {name: getattr(settings, name) for name in PARAMETERS}
        path = surfaces_figure(values, grid, at, study.folder / "surfaces.png", settings.metric)
        note = "Every pair, the others at the chosen point (marked); on the split that was chosen on."
        figures.append(ReportFigure("Response surfaces", path, note))
    if len(settings.margin) > 1 and len(settings.scale) > 1:
        of = {(row.margin, row.scale): _value(row.scored, settings.metric) for row in tried}
        values = {"margin": settings.margin, "scale": settings.scale}
        trained = np.array([[of[margin, scale] for scale in settings.scale] for margin in settings.margin])
        path = surfaces_figure(values, trained, best_point(trained), study.folder / "trainings.png", settings.metric)
        figures.append(ReportFigure("Margin and scale", path, "Default constants; each point is a training."))
    folders = {
        name: study.workspace.absolute(result.folder)
        for (which, name), result in rows.items()
        if which == "reported on"
    }
    protocol = rows["reported on", _DEFAULT].protocol
    lines = timelines(reporting, protocol, folders, study.folder)
    named = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    notes = [
        f"Chosen by {settings.metric.upper()} on {rows['chosen on', _DEFAULT].split}: {named}. What "
        f"counts is the split that was not chosen on, {rows['reported on', _DEFAULT].split}. Protocol {protocol}.",
    ]
    report = write_report(
        study.folder / REPORT_FILE,
        title="Study: thresholds",
        notes=notes,
        tables=[
            ReportTable("Default and chosen constants", table, "IDF1 and MOTA in percent."),
            ReportTable("Trainings", [_in_percent(row.as_json()) for row in tried], "On the split that was chosen on."),
            ReportTable(
                f"Every point ({len(every)})", [_in_percent(point.as_json()) for point in ordered], "Best IDF1 first."
            ),
            settings_table(study),
            ReportTable("Data, networks, versions", study.facts()),
        ],
        figures=[*figures, *lines],
    )
    content = ThresholdsStudy(
        protocol=protocol,
        metric=settings.metric,
        chosen=chosen,
        rows=tuple(
            ChosenRow(which, result.split, name, result.overall, "constants") for (which, name), result in rows.items()
        ),
        points=every,
        trainings=tuple(tried),
        table=tuple(dict(row) for row in table),
        runs={f"{name}, {which}": result.mlflow_run_id for (which, name), result in rows.items()},
        notes=tuple(notes),
    )
    return study.finish(reporter, content, [report, *(figure.path for figure in (*figures, *lines))])


def _value(scored: Scored, metric: str) -> float:
    return float(scored.as_json()[metric])


def _in_percent(row: Mapping[str, Any]) -> dict[str, str | int]:
    shares = {"idf1": "IDF1", "mota": "MOTA", "recall_at_1": "recall at 1", "probe_auc": "probe AUC"}
    shown = {key: value for key, value in row.items() if key in (*PARAMETERS, "training", "margin", "scale")}
    shown |= {name: f"{100 * row[key]:.1f}" for key, name in shares.items() if row.get(key) is not None}
    return {**shown, "IDSW": row["idsw"]}
