"""Comparison of runs: differing settings, and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssat.file_names import REPORT_FILE
from ssat.report.html import ReportFigure, ReportTable, ReportVideo, write_report
from ssat.report.study_plots import curves_figure, methods_figure

_MISSING = "–"
# Shown first and in percent where they are shares; other numbers follow as they are.
_SHARES = (
    "idf1",
    "mota",
    "hota",
    "deta",
    "assa",
    "idp",
    "idr",
    "held_out_recall_at_1",
    "held_out_mean_average_precision",
    "held_out_verification_auc",
    "accuracy",
    "recall_at_1",
)
_PROBE = "kept_probe_auc"
_COUNTS = ("idsw", "fp", "fn", "mt", "ml", "frag")


@dataclass(frozen=True)
class ComparedRun:
    """One run as it was recorded.

    Attributes:
        label: short and unlike the others'.
        parameters: name → value.
        scores: last value of every number; "SEQUENCE/metric" for single sequences.
        curves: metric → (step, value), for what was recorded more than once.
        videos: sequence → file.
    """

    label: str
    run_id: str
    kind: str
    parameters: Mapping[str, str]
    scores: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    videos: Mapping[str, Path] = field(default_factory=dict)


def differing_parameters(runs: Sequence[ComparedRun]) -> list[dict[str, str]]:
    """Return a row per parameter that is not the same in all runs: "parameter" and a column per run."""
    names = list(dict.fromkeys(name for run in runs for name in run.parameters))
    rows = []
    for name in names:
        values = [run.parameters.get(name, _MISSING) for run in runs]
        if len(set(values)) > 1:
            rows.append({"parameter": name, **{run.label: value for run, value in zip(runs, values, strict=True)}})
    return rows


def compared_scores(runs: Sequence[ComparedRun]) -> list[dict[str, str]]:
    """Return a row per run: shares in percent, counts as they are; only what at least one of them has."""
    columns = [name for name in (*_SHARES, *_COUNTS) if any(name in run.scores for run in runs)]
    probed = any(_PROBE in run.scores for run in runs)
    return [
        {
            "run": run.label,
            "kind": run.kind,
            **({"probe AUC (95 %)": _probe_cell(run.scores)} if probed else {}),
            **{name: _cell(name, run.scores.get(name)) for name in columns},
        }
        for run in runs
    ]


@dataclass(frozen=True)
class SequenceChange:
    """Change of a sequence by a run: scores in percent, `gain` in points, `switches` more than before."""

    sequence: str
    run: str
    before: float
    after: float
    gain: float
    switches: float


@dataclass(frozen=True)
class Comparison:
    """Tables of a comparison, and the files that show it: the page first, then figures."""

    parameters: list[dict[str, str]]
    scores: list[dict[str, str]]
    sequences: list[SequenceChange]
    files: list[Path]


def sequence_changes(runs: Sequence[ComparedRun], metric: str = "idf1") -> list[SequenceChange]:
    """Return the changes of the sequences that the first run and another share; the largest loss stands first."""
    base, changes = runs[0], []
    for run in runs[1:]:
        for name, value in run.scores.items():
            sequence, separator, key = name.rpartition("/")
            if separator and key == metric and name in base.scores:
                before, after = 100 * base.scores[name], 100 * value
                gain = 100 * (value - base.scores[name])
                switches = f"{sequence}/idsw"
                more = run.scores.get(switches, 0) - base.scores.get(switches, 0)
                changes.append(SequenceChange(sequence, run.label, before, after, gain, more))
    return sorted(changes, key=lambda change: (change.gain, change.sequence))


def write_comparison(runs: Sequence[ComparedRun], folder: Path, metric: str = "idf1") -> Comparison:
    """Write report.html, and curves.png and scores.png where there is something to draw, into `folder`."""
    parameters, scores, sequences = differing_parameters(runs), compared_scores(runs), sequence_changes(runs, metric)
    figures = []
    drawable = [
        {"name": run.label, **run.scores} for run in runs if all(key in run.scores for key in ("idf1", "mota", "idsw"))
    ]
    if drawable:
        figures.append(ReportFigure("Scores", methods_figure(drawable, folder / "scores.png")))
    histories = {run.label: run.curves for run in runs if run.curves}
    if histories:
        figures.append(ReportFigure("Curves", curves_figure(histories, folder / "curves.png"), "Against the epoch."))
    name = metric.upper()
    shown = [
        {
            "sequence": change.sequence,
            "run": change.run,
            f"{name} of {runs[0].label}": f"{change.before:.1f}",
            name: f"{change.after:.1f}",
            "gain": f"{change.gain:+.1f}",
            "more switches": f"{change.switches:+g}",
        }
        for change in sequences
    ]
    videos = [
        ReportVideo(f"{sequence}: {run.label}", path)
        for sequence in dict.fromkeys(sequence for run in runs for sequence in run.videos)
        for run in runs
        if (path := run.videos.get(sequence)) is not None
    ]
    report = write_report(
        folder / REPORT_FILE,
        title="Comparison of runs",
        notes=[f"Gains are over {runs[0].label}, the first one; the largest loss stands first."],
        tables=[
            ReportTable("Scores", scores, "Shares in percent."),
            ReportTable("Parameters that differ", parameters),
            ReportTable("Sequences that gained and lost", shown),
            ReportTable("Runs", [{"run": run.label, "run id": run.run_id} for run in runs]),
        ],
        figures=figures,
        videos=videos,
    )
    return Comparison(parameters, scores, sequences, [report, *(figure.path for figure in figures)])


def _probe_cell(scores: Mapping[str, float]) -> str:
    """AUC of the weights that were kept, with its interval, in percent."""
    if _PROBE not in scores:
        return _MISSING
    auc, low, high = (100 * scores.get(name, float("nan")) for name in (_PROBE, f"{_PROBE}_low", f"{_PROBE}_high"))
    return f"{auc:.1f} ({low:.1f}–{high:.1f})"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return _MISSING
    return f"{100 * value:.1f}" if name in _SHARES else f"{value:g}"
