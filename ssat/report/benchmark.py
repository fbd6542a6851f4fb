"""The report of one benchmark: scores, speed, settings, a frame and a video of each sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssat.file_names import REPORT_FILE
from ssat.pipeline.benchmark_result import BenchmarkResult
from ssat.report.html import ReportFigure, ReportTable, ReportVideo, write_report
from ssat.report.plots import score_bars
from ssat.report.tables import score_rows

_STAGE_NAMES = {
    "detect": "detection",
    "read": "waiting for frames",
    "patches": "patches",
    "embed": "embedding",
    "associate": "association",
}
# The protocols differ here: an identity found in exactly four fifths of its frames.
_MOSTLY = {"centertrack-half": "at least", "motchallenge": "more than"}


def write_benchmark_report(
    folder: Path,
    result: BenchmarkResult,
    settings: Mapping[str, Any],
    *,
    switches: Sequence[ReportFigure] = (),
    facts: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write report.html and scores.png into `folder`; return their paths.

    Args:
        folder: holds the videos and pictures that `result` names.
        result: of the benchmark.
        settings: of the benchmark; shown as they are.
        switches: figures of where identities were lost.
        facts: digests and versions.
    """
    sequences, overall = result.rows(), result.overall.as_json()
    bars = score_bars(
        {**sequences, **({"overall": overall} if len(sequences) > 1 else {})},
        folder / "scores.png",
        metrics=[("mota", "MOTA"), ("idf1", "IDF1")],
    )
    speed = [
        {
            "frames per second": name,
            "end to end": f"{scored.speed.fps:.1f}",
            **{title: _rate(scored.speed.fps_by_stage.get(stage)) for stage, title in _STAGE_NAMES.items()},
        }
        for name, scored in (*result.sequences.items(), ("overall", result.overall))
    ]
    notes = [result.headline, *(f"Left out: {name} ({reason})." for name, reason in result.skipped.items())]
    report = write_report(
        folder / REPORT_FILE,
        title="Benchmark",
        notes=notes,
        tables=[
            ReportTable(
                "Scores",
                score_rows(sequences, overall),
                f"Protocol {result.protocol}. MOTA and IDF1 in percent; MT and ML are identities found "
                f"in {_MOSTLY[result.protocol]} 80 % and in less than 20 % of their frames; FP, FN and IDSW "
                "are counts.",
            ),
            *_ceiling_table(sequences, overall),
            ReportTable("Speed", speed, "When the features were computed; drawing and detection are not counted."),
            ReportTable("Settings", [{"setting": key, "value": _flat(value)} for key, value in settings.items()]),
            ReportTable("Data, networks, versions", [{"what": k, "value": v} for k, v in (facts or {}).items()]),
        ],
        figures=[
            ReportFigure("MOTA and IDF1", bars),
            *switches,
            *(
                ReportFigure(f"{name}: a frame with its tracks", folder / files.picture)
                for name, files in result.files.items()
                if files.picture is not None
            ),
        ],
        videos=[
            ReportVideo(name, folder / files.video) for name, files in result.files.items() if files.video is not None
        ],
    )
    return [report, bars, *(figure.path for figure in switches)]


def _ceiling_table(sequences: Mapping[str, Any], overall: Mapping[str, Any]) -> list[ReportTable]:
    """Return the table of the ceiling; nothing if the detections depend on the tracks."""
    if "ceiling_idf1" not in overall:
        return []
    columns = {
        "IDF1": "idf1",
        "box term alone, IDF1": "box_idf1",
        "ceiling, IDF1": "ceiling_idf1",
        "share of the gap closed, %": "closed_share",
        "ceiling, MOTA": "ceiling_mota",
        "ceiling, HOTA": "ceiling_hota",
    }
    rows = [
        {"sequence": name, **{heading: _percent(scores[key]) for heading, key in columns.items()}}
        for name, scores in (*sequences.items(), ("overall", overall))
    ]
    note = (
        "The ceiling is the score of these detections with the identities of the labels that they match. A low ceiling "
        "asks for a better detector; a small share of the gap closed asks for better features or association. The gap "
        "begins at the box term alone (alpha 1, no motion). Filled gaps add boxes, with which a result can pass the "
        "ceiling; a negative share is less than the box term reaches alone."
    )
    return [ReportTable("Ceiling of association", rows, note)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(inner) for inner in value) or "all"
    return "–" if value is None else str(value)
