"""Tuning with labels: the preset strong, chosen on one set of sequences and reported on another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.studies.benchmarked import settings_table
from ssat.file_names import REPORT_FILE
from ssat.pipeline.benchmark_inputs import data_digest
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.html import ReportFigure, ReportTable, write_report
from ssat.report.study_plots import tuning_figure
from ssat.report.tables import score_rows
from ssat.studies.results import ChosenRow, TuningStudy
from ssat.studies.settings import TuneSettings
from ssat.studies.sweep import SweepSequence, score_config
from ssat.studies.tuning import (
    TUNED,
    TuningResult,
    search,
    settings_file,
    start_of,
    tuning_sides,
    with_settings,
)
from ssat.tracking.config import TrackerConfig
from ssat.workspace import Workspace, committed
from tasks.calibration import with_stored_calibration
from tasks.embedders import resolve_embedder
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset
from tasks.progress import progress_bar
from tasks.study import Study, StudyResult, log_scores
from tasks.sweep import sweep_sequences, with_camera

TRIALS_FILE = "trials.sqlite3"
SETTINGS_FILE = "tuned.toml"
_DEFAULT, _TUNED = "default settings", "tuned settings"
_CHOSEN_ON, _REPORTED_ON = "chosen on", "reported on"


def tune(place: Workspace, settings: TuneSettings, benchmark: BenchmarkSettings) -> StudyResult[TuningStudy]:
    """Search for the settings of `benchmark.association` that score best on one set; report them on the other.

    Trials are kept in the study's folder: run again, the search continues with the missing ones, or with further ones
    if there are more trials.

    Raises:
        InputError: as `tuning_sides`.
    """
    train, report = tuning_sides(settings, benchmark)
    embedder = resolve_embedder(benchmark.embedder, place, reid=benchmark.reid)
    digests = {
        "data chosen on": data_digest(train.prepared),
        "data reported on": data_digest(report.prepared),
        "embedder": embedder.digest,
    }
    study = Study(place, "tune", {"benchmark": report.settings, "tune": settings}, digests)
    result = study.finished(TuningStudy)
    if result is None or result.content.trials < settings.trials:
        dataset = Dataset("mot", digests["data reported on"], str(Path(settings.report).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            rows = {}
            for which, side in ((_CHOSEN_ON, train), (_REPORTED_ON, report)):
                rows[which, _DEFAULT] = _scored(study, f"{_DEFAULT}, {which}", side.settings)
            base = with_stored_calibration(report.settings, embedder, place).association
            # The benchmark with default settings has cached the features.
            known = sweep_sequences(train.prepared, embedder.digest, embedder.input_size, place.cache / "features")
            if base.camera_motion:
                known = with_camera(known, train.prepared, place.cache / "camera-motion")
            found = _search(study, settings, report.settings, base, known)
            tuned = with_settings(report.settings.association, found.best)
            for which, side in ((_CHOSEN_ON, train), (_REPORTED_ON, report)):
                changed = side.settings.model_copy(update={"association": tuned})
                rows[which, _TUNED] = _scored(study, f"{_TUNED}, {which}", changed)
            result = _finish(study, reporter, settings, report.settings, rows, found, tuned)
    create_table_artifact(table=list(result.content.table), key="tune", description=result.report)
    return result


def _scored(study: Study, name: str, settings: BenchmarkSettings) -> BenchmarkResult:
    with study.child(name, settings.model_dump(mode="json")) as child:
        scored = run_stage(BENCHMARK, str(study.workspace.root), settings)
        log_scores(child, scored)
    return scored


def _search(
    study: Study,
    settings: TuneSettings,
    benchmark: BenchmarkSettings,
    base: TrackerConfig,
    sequences: Sequence[SweepSequence],
) -> TuningResult:
    def objective(config: TrackerConfig) -> float:
        scores = score_config(sequences, config, benchmark.protocol, benchmark.interpolate_seconds)
        return float(getattr(scores, settings.metric))

    with progress_bar("trials", settings.trials) as advance:
        return search(study.folder / TRIALS_FILE, base, objective, settings.trials, settings.seed, advance)


def _finish(
    study: Study,
    reporter: MlflowReporter,
    settings: TuneSettings,
    benchmark: BenchmarkSettings,
    rows: dict[tuple[str, str], BenchmarkResult],
    found: TuningResult,
    tuned: TrackerConfig,
) -> StudyResult[TuningStudy]:
    start = start_of(benchmark.association)
    table = [
        {"sequences": which, **row}
        for (which, name), result in rows.items()
        for row in score_rows({name: result.overall.as_json()}, first="settings")
    ]
    chosen = {name: getattr(tuned, name) for name in TUNED}
    importance = [
        {
            "setting": name,
            "default": _as_text(start[name]),
            "tuned": _as_text(chosen[name]),
            "importance, %": f"{100 * found.importance[name]:.1f}" if name in found.importance else "–",
        }
        for name in sorted(TUNED, key=lambda name: -found.importance.get(name, 0.0))
    ]
    before, after = (rows[_REPORTED_ON, name].overall.as_json()[settings.metric] for name in (_DEFAULT, _TUNED))
    metric = settings.metric.upper()
    notes = [
        f"{len(found.values)} trials, chosen by {metric} on {settings.train}. What counts are the sequences that were "
        f"not chosen on ({settings.report}): {metric} {100 * before:.1f} with the default settings, {100 * after:.1f} "
        f"with the tuned ones. Protocol {benchmark.protocol}.",
    ]
    path = study.folder / SETTINGS_FILE
    with committed(path) as temporary:
        temporary.write_text(settings_file(tuned, benchmark.interpolate_seconds, "ssat tune\n" + notes[0]))
    figure = tuning_figure(found.values, found.importance, study.folder / "tuning.png", settings.metric)
    report = write_report(
        study.folder / REPORT_FILE,
        title="Tuning of the preset strong (beyond the paper)",
        notes=notes,
        tables=[
            ReportTable("Default and tuned settings", table, "IDF1 and MOTA in percent."),
            ReportTable("Settings", importance, "Importance: share of the variance of the score over all trials."),
            settings_table(study),
            ReportTable("Data, networks, versions", study.facts()),
        ],
        figures=[ReportFigure("Trials", figure)],
    )
    content = TuningStudy(
        protocol=benchmark.protocol,
        metric=settings.metric,
        trials=len(found.values),
        best_value=found.best_value,
        chosen=chosen,
        importance=dict(found.importance),
        rows=tuple(ChosenRow(which, scored.split, name, scored.overall) for (which, name), scored in rows.items()),
        settings_table=tuple(dict(row) for row in importance),
        settings_file=study.workspace.relative(path),
        table=tuple(dict(row) for row in table),
        runs={f"{name}, {which}": scored.mlflow_run_id for (which, name), scored in rows.items()},
        notes=tuple(notes),
    )
    return study.finish(reporter, content, [report, path, figure])


def _as_text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
