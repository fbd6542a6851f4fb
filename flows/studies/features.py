"""Features on the same detections: AUC by labels, AUC of the probe, and IDF1 of the tracker with each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect.artifacts import create_table_artifact

from flows.stage_flow import run_stage
from flows.stages.benchmark import STAGE as BENCHMARK
from flows.studies.benchmarked import settings_table
from ssat.embedding.named import COLOUR, IMAGENET, embedder_parts
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.file_names import EMBEDDER_FILE, REPORT_FILE, TRAINING_RESULT
from ssat.pipeline.benchmark_inputs import Prepared, data_digest, prepare
from ssat.pipeline.benchmark_result import BenchmarkResult, Scored
from ssat.pipeline.feature_cache import feature_key, load_features
from ssat.pipeline.row_features import features_of_rows
from ssat.pipeline.settings import BenchmarkSettings
from ssat.report.html import ReportFigure, ReportTable, write_report
from ssat.report.study_plots import methods_figure
from ssat.report.tables import score_rows
from ssat.studies.features import FeatureAuc, StudiedSequence, feature_auc, gain_over, rank_correlation
from ssat.studies.results import FeatureOnSequence, FeatureRow, FeaturesStudy
from ssat.studies.settings import FeaturesStudySettings
from ssat.workspace import Workspace
from tasks.detectors import resolve_detector
from tasks.embedders import UNTRAINED, latest_of_kinds, resolve_embedder
from tasks.fan_out import tracked_detections
from tasks.mlflow_reporter import MlflowReporter
from tasks.mlflow_run import Dataset
from tasks.study import Study, StudyResult, log_scores

_AUC_NOTE = (
    "AUC: share of pairs that the cosine ranks correctly, a pair of one person above a pair of two, mean over the "
    "sequences, with a 95 % interval from resampled tracks. By labels: the pairs of the labels. Probe: pairs of linked "
    "boxes, without labels. Difference: of the AUC by labels to the first feature, on the same resampled "
    "tracks; an interval that holds 0 tells nothing."
)


@dataclass(frozen=True)
class _Feature:
    name: str
    spec: str
    embedder: PatchEmbedder


@dataclass(frozen=True)
class _Measured:
    feature: _Feature
    auc: FeatureAuc
    benchmark: BenchmarkResult


def features_study(
    place: Workspace, settings: FeaturesStudySettings, benchmark: BenchmarkSettings
) -> StudyResult[FeaturesStudy]:
    """Track the same detections with every feature, and measure how well it distinguishes people.

    Raises:
        InputError: an embedder that cannot be had, or detections that follow the tracks.
    """
    base = benchmark.model_copy(update={"tracker": "ssat", "video": False})
    if base.refine == "closed-loop" or base.split == "test":
        what = f"split {base.split}" if base.split == "test" else f"refine {base.refine}"
        raise InputError(f"{what}: features are compared by labels on the same detections; use refine frozen and train")
    prepared, skipped = prepare(base)
    features, notes = _features(settings, base, place)
    notes = [*(f"Left out: {name} ({reason})." for name, reason in skipped.items()), *notes]
    digests = {
        "data": data_digest(prepared),
        **{f"feature {feature.name}": feature.embedder.digest for feature in features},
    }
    study = Study(place, "features", {"benchmark": base, "study_features": settings}, digests)
    result = study.finished(FeaturesStudy)
    if result is None:
        dataset = Dataset("mot", digests["data"], str(Path(base.mot).expanduser().resolve()))
        with study.recorded(dataset) as reporter:
            result = _measure_all(study, reporter, prepared, features, settings, base, notes)
    create_table_artifact(table=list(result.content.table), key="study-features", description=result.report)
    return result


def _features(
    settings: FeaturesStudySettings, base: BenchmarkSettings, place: Workspace
) -> tuple[list[_Feature], list[str]]:
    """Return the compared features by short name, and notes about unavailable ones."""
    named: dict[str, str] = {}
    if settings.embedder:
        for spec in settings.embedder:
            short = _short(spec)
            named[spec if short in named else short] = spec
    else:
        trained = latest_of_kinds(place)
        named = {COLOUR: COLOUR, UNTRAINED: UNTRAINED, IMAGENET: IMAGENET}
        named |= {name: str(path) for name, path in trained.items()}
        named |= {f"{COLOUR} + {name}": f"0.5*{COLOUR}+0.5*{path}" for name, path in trained.items()}
    found, notes = [], []
    for name, spec in named.items():
        try:
            found.append(_Feature(name, spec, resolve_embedder(spec, place, reid=base.reid)))
        except InputError as error:
            if settings.embedder or name != IMAGENET:
                raise
            notes.append(f"Left out: {name} ({error}).")
    return found, notes


def _short(spec: str) -> str:
    """Return the name of a feature in tables: files without their folders."""
    parts = []
    for part in embedder_parts(spec):
        path = Path(part.name).expanduser()
        name = part.name
        if path.exists():
            trained = path.name == EMBEDDER_FILE and (path.parent / TRAINING_RESULT).is_file()
            name = path.parent.name if trained else path.name
        parts.append(name if part.weight == 1 else f"{part.weight:g}*{name}")
    return "+".join(parts)


def _measure_all(
    study: Study,
    reporter: MlflowReporter,
    prepared: Sequence[Prepared],
    features: Sequence[_Feature],
    settings: FeaturesStudySettings,
    base: BenchmarkSettings,
    notes: list[str],
) -> StudyResult[FeaturesStudy]:
    place = study.workspace
    detections = tracked_detections(list(prepared), base, place, *resolve_detector(base, place))
    sequences = [
        StudiedSequence.of(
            entry.sequence.name,
            detections[entry.sequence.name],
            entry.truth,
            entry.sequence.frame_rate,
            settings,
            base.protocol,
        )
        for entry in prepared
    ]
    notes = [*notes, *(note for sequence in sequences for note in sequence.notes)]
    measured = []
    for feature in features:
        of_feature = base.model_copy(update={"embedder": feature.spec})
        with study.child(feature.name, of_feature.model_dump(mode="json")) as child:
            tracked = run_stage(BENCHMARK, str(place.root), of_feature)
            matrices = {
                entry.sequence.name: _matrix(entry, feature.embedder, detections[entry.sequence.name], place)
                for entry in prepared
            }
            auc = feature_auc(sequences, matrices)
            log_scores(child, tracked)
            child.scalars({key: value for key, value in auc.to_dict().items() if value is not None}, 0)
        measured.append(_Measured(feature, auc, tracked))
    return _finish(study, reporter, measured, settings, base, notes)


def _matrix(entry: Prepared, embedder: PatchEmbedder, detections: Any, place: Workspace) -> NDArray[np.float32]:
    """Return the features that the benchmark left in the cache; compute them again if the cache was emptied."""
    key = feature_key(embedder.digest, embedder.input_size, entry.images, detections)
    cached = load_features(place.cache / "features", key, len(detections))
    if cached is not None:
        return cached.features
    source = entry.sequence.frame_source(entry.frames)
    return features_of_rows(source, detections, np.arange(len(detections)), embedder)


def _finish(
    study: Study,
    reporter: MlflowReporter,
    measured: Sequence[_Measured],
    settings: FeaturesStudySettings,
    base: BenchmarkSettings,
    notes: list[str],
) -> StudyResult[FeaturesStudy]:
    rows = tuple(
        FeatureRow(
            row.feature.name,
            row.feature.spec,
            row.feature.embedder.digest,
            row.auc.to_dict(),
            row.benchmark.overall,
        )
        for row in measured
    )
    flat = [row.as_json() for row in rows]
    correlation = {
        f"{first} and {second}": rank_correlation([row[first] for row in flat], [row[second] for row in flat])
        for first, second in (("probe_auc", "auc"), ("probe_auc", "idf1"), ("auc", "idf1"))
    }
    table = [_row(row, measured[0]) for row in measured]
    by_sequence = [
        {
            "sequence": name,
            "feature": row.feature.name,
            "AUC by labels": _number(row.auc.by_sequence[name][0]),
            "probe AUC": _number(row.auc.by_sequence[name][1]),
            **_scores(row.benchmark.sequences[name]),
        }
        for name in measured[0].benchmark.sequences
        for row in measured
    ]
    shown = [key for key in ("auc", "probe_auc", "idf1") if all(row[key] is not None for row in flat)]
    gaps = ", ".join(f"{gap:g}" for gap in settings.probe_gaps_seconds)
    bars = methods_figure(flat, study.folder / "scores.png", shown)
    folders = {row.feature.name: study.workspace.absolute(row.benchmark.folder) for row in measured}
    report = write_report(
        study.folder / REPORT_FILE,
        title="Study: features on the same detections",
        notes=[
            *notes,
            f"Pairs {settings.gap_seconds:g} s apart by labels, {gaps} s for the probe.",
            f"Split {base.split}, protocol {base.protocol}.",
        ],
        tables=[
            ReportTable("Features", table, _AUC_NOTE),
            ReportTable(
                "Rank correlation over the features (Spearman)",
                [{"between": name, "correlation": _number(value, 2)} for name, value in correlation.items()],
            ),
            ReportTable("Each sequence", by_sequence),
            ReportTable(
                "Benchmarks",
                [{"feature": row.feature.name, "MLflow run": row.benchmark.mlflow_run_id} for row in measured],
                links={name: folder / REPORT_FILE for name, folder in folders.items()},
            ),
            settings_table(study),
            ReportTable("Data, networks, versions", study.facts()),
        ],
        figures=[ReportFigure("Scores", bars)],
    )
    known = {f"rank correlation/{name}": value for name, value in correlation.items() if value is not None}
    reporter.scalars(known, 0)
    content = FeaturesStudy(
        protocol=base.protocol,
        rows=rows,
        sequences={
            row.feature.name: {
                name: FeatureOnSequence(scored, *row.auc.by_sequence[name])
                for name, scored in row.benchmark.sequences.items()
            }
            for row in measured
        },
        rank_correlation=correlation,
        table=tuple(dict(row) for row in table),
        benchmarks={row.feature.name: row.benchmark.folder for row in measured},
        runs={row.feature.name: row.benchmark.mlflow_run_id for row in measured},
        notes=tuple(notes),
    )
    return study.finish(reporter, content, [report, bars])


def _row(row: _Measured, first: _Measured) -> dict[str, str]:
    values = row.auc.to_dict()
    gain = None if row is first else gain_over(row.auc.labelled, first.auc.labelled)
    return {
        "feature": row.feature.name,
        "AUC by labels": _with_interval(values, "auc"),
        f"difference to {first.feature.name}": "–"
        if gain is None
        else f"{gain.gain:+.3f} ({gain.low:+.3f} … {gain.high:+.3f})",
        "probe AUC": _with_interval(values, "probe_auc"),
        **_scores(row.benchmark.overall),
    }


def _scores(scored: Scored) -> dict[str, str]:
    (row,) = score_rows({"": scored.as_json()})
    return {key: row[key] for key in ("IDF1", "MOTA", "HOTA", "IDSW", "IDF1 ceiling", "closed %") if key in row}


def _with_interval(values: Mapping[str, float | None], key: str) -> str:
    value, low, high = (values[name] for name in (key, f"{key}_low", f"{key}_high"))
    return "–" if value is None else f"{value:.3f} ({low:.3f}–{high:.3f})"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
