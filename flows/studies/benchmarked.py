"""Studies that compare benchmarks: each variant in a child run, then one table, figure and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from ssat.file_names import REPORT_FILE
from ssat.pipeline.benchmark_inputs import Prepared, data_digest, prepare
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.html import ReportFigure, ReportTable, write_report
from ssat.report.study_plots import methods_figure
from ssat.report.tables import score_rows
from ssat.studies.published import SOURCE, PublishedRow
from ssat.studies.results import ComparisonStudy, Variant
from ssat.tracking.config import TrackerConfig
from ssat.workspace import Workspace
from tasks.embedders import resolve_embedder
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset
from tasks.moments import timelines, worst_moments
from tasks.study import Study, StudyResult, log_scores

_PUBLISHED_NOTE = (
    f"{SOURCE}. Other sequences, other detections, a network trained for longer: not to be compared number by number."
)


def run_variants(study: Study, variants: Mapping[str, BenchmarkSettings]) -> dict[str, BenchmarkResult]:
    """Variant → its benchmark, done now or before; a child run each."""
    found = {}
    for name, settings in variants.items():
        with study.child(name, settings.model_dump(mode="json")) as reporter:
            found[name] = run_stage(BENCHMARK, str(study.workspace.root), settings)
            log_scores(reporter, found[name])
    return found


def association_study(
    place: Workspace,
    kind: str,
    base: BenchmarkSettings,
    variants: Mapping[str, TrackerConfig],
    *,
    title: str,
    shown: str,
    published: Mapping[str, Sequence[PublishedRow]] | None = None,
    interpolate_seconds: Mapping[str, float] | None = None,
) -> StudyResult[ComparisonStudy]:
    """Track the same detections and features with several associations.

    Args:
        kind: name of the study.
        variants: name → association.
        shown: the variant whose worst moments are pictured.
        published: title of a table → the paper's rows.
        interpolate_seconds: variant → up to how long its gaps are filled; the others as `base` says.
    """
    base = base.model_copy(update={"tracker": "ssat", "video": False})
    prepared, skipped = prepare(base)
    digests = {"data": data_digest(prepared), "embedder": resolve_embedder(base.embedder, place).digest}
    study = Study(place, kind, {"benchmark": base}, digests)
    result = study.finished(ComparisonStudy)
    if result is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            settings = {name: base.model_copy(update={"association": config}) for name, config in variants.items()}
            for name, seconds in (interpolate_seconds or {}).items():
                settings[name] = settings[name].model_copy(update={"interpolate_seconds": seconds})
            result = finish_comparison(
                study,
                reporter,
                prepared,
                run_variants(study, settings),
                title=title,
                published=published or {},
                shown=shown,
                notes=[f"Left out: {name} ({reason})." for name, reason in skipped.items()],
                first="variant",
            )
    create_table_artifact(table=list(result.content.table), key=f"study-{kind}", description=result.report)
    return result


def finish_comparison(
    study: Study,
    reporter: MlflowReporter,
    prepared: Sequence[Prepared],
    found: Mapping[str, BenchmarkResult],
    *,
    title: str,
    published: Mapping[str, Sequence[PublishedRow]],
    shown: str,
    notes: Sequence[str] = (),
    first: str = "tracker",
    frames_per_cpu_second: Mapping[str, float] | None = None,
) -> StudyResult[ComparisonStudy]:
    """Table, figure and report of a comparison; `shown` is the variant whose worst moments are pictured.

    `published`: title of a table → the paper's rows. `frames_per_cpu_second`: variant → speed of association alone.
    """
    rates = frames_per_cpu_second or {}
    variants = tuple(Variant(name, result.overall, rates.get(name)) for name, result in found.items())
    any_result = next(iter(found.values()))
    protocol, folder = any_result.protocol, study.folder
    bars = methods_figure([variant.as_json() for variant in variants], folder / "scores.png")
    folders = {name: study.workspace.absolute(result.folder) for name, result in found.items()}
    lines = timelines(prepared, protocol, folders, folder)
    moments = worst_moments(prepared, protocol, folders[shown], folder)
    table = score_rows({variant.name: variant.row() for variant in variants}, first=first)
    sequences = [
        {"sequence": sequence, **row}
        for sequence in any_result.sequences
        for row in score_rows(
            {name: result.sequences[sequence].as_json() for name, result in found.items()}, first=first
        )
    ]
    report = write_report(
        folder / REPORT_FILE,
        title=title,
        notes=[*notes, f"Split {any_result.split}, protocol {protocol}."],
        tables=[
            ReportTable(
                "Scores over all sequences",
                table,
                "MOTA and IDF1 in percent; FP, FN and IDSW are counts." + _speed_note(frames_per_cpu_second),
            ),
            *(
                ReportTable(name, score_rows({r.method: r.as_json() for r in rows}, first="method"), _PUBLISHED_NOTE)
                for name, rows in published.items()
            ),
            ReportTable("Scores of each sequence", sequences),
            ReportTable(
                "Benchmarks",
                [{first: name, "MLflow run": result.mlflow_run_id} for name, result in found.items()],
                links={name: folders[name] / REPORT_FILE for name in found},
            ),
            settings_table(study),
            ReportTable("Data, networks, versions", study.facts()),
        ],
        figures=[ReportFigure("Scores", bars), *lines, *_of_variant(moments, shown)],
    )
    content = ComparisonStudy(
        protocol=protocol,
        rows=variants,
        sequences={name: result.sequences for name, result in found.items()},
        published={name: tuple(rows) for name, rows in published.items()},
        table=tuple(dict(row) for row in table),
        benchmarks={name: result.folder for name, result in found.items()},
        runs={name: result.mlflow_run_id for name, result in found.items()},
        notes=tuple(notes),
    )
    return study.finish(reporter, content, [report, bars, *(figure.path for figure in (*lines, *moments))])


def settings_table(study: Study) -> ReportTable:
    """Return all settings of the study, section by section."""
    return ReportTable(
        "Settings",
        [
            {"setting": f"{section}.{key}", "value": "–" if value is None else str(value)}
            for section, model in study.settings.items()
            for key, value in model.items()
        ],
    )


def _speed_note(rates: Mapping[str, float] | None) -> str:
    if not rates:
        return ""
    return (
        " frames/CPU-s: association alone on one thread, with known features; frames are not read, camera motion is "
        "not estimated. Other work on the machine makes it smaller."
    )


def _of_variant(figures: Sequence[ReportFigure], name: str) -> list[ReportFigure]:
    return [ReportFigure(f"{figure.title} ({name})", figure.path, figure.note) for figure in figures]
