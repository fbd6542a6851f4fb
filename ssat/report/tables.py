"""Score tables for the terminal and for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

# Key of the scores → heading, and how a value reads ("share" as percent, "count", "rate", "whole" without decimals).
_COLUMNS = {
    "mota": ("MOTA", "share"),
    "idf1": ("IDF1", "share"),
    "hota": ("HOTA", "share"),
    "mt": ("MT", "count"),
    "ml": ("ML", "count"),
    "fp": ("FP", "count"),
    "fn": ("FN", "count"),
    "idsw": ("IDSW", "count"),
    "fps": ("fps", "rate"),
}
# Shown where a benchmark measured them.
_CEILING_COLUMNS = {"ceiling_idf1": ("IDF1 ceiling", "share"), "closed_share": ("closed %", "share")}
_SPEED_COLUMNS = {"frames_per_cpu_second": ("frames/CPU-s", "whole")}
_MISSING = "–"


def score_table(sequences: Mapping[str, Mapping[str, Any]], overall: Mapping[str, Any] | None, title: str) -> Table:
    """Return a table for the terminal: a row per sequence (or method), and one over all of them."""
    # Fits a terminal of 80 columns; names must not be cut.
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", overflow="fold")
    columns = _columns([*sequences.values(), overall])
    for heading, _ in columns.values():
        table.add_column(heading, justify="right")
    for name, scores in sequences.items():
        table.add_row(name, *_cells(scores, columns))
    if overall is not None:
        table.add_section()
        table.add_row("overall", *_cells(overall, columns), style="bold")
    return table


def score_rows(
    sequences: Mapping[str, Mapping[str, Any]], overall: Mapping[str, Any] | None = None, first: str = "sequence"
) -> list[dict[str, str]]:
    """Return the same as rows of text, heading → cell, for a report or an artifact."""
    named = [*sequences.items(), *([("overall", overall)] if overall is not None else [])]
    columns = _columns([scores for _, scores in named])
    headings = [heading for heading, _ in columns.values()]
    return [{first: name, **dict(zip(headings, _cells(scores, columns), strict=True))} for name, scores in named]


def _columns(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, tuple[str, str]]:
    measured = {key for scores in rows if scores is not None for key in scores}
    further = [columns for columns in (_CEILING_COLUMNS, _SPEED_COLUMNS) if measured & set(columns)]
    return {key: column for columns in (_COLUMNS, *further) for key, column in columns.items()}


def _cells(scores: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return [_cell(scores.get(key), kind) for key, (_, kind) in columns.items()]


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return _MISSING
    if kind == "share":
        return f"{100 * value:.1f}"
    if kind == "whole":
        return f"{value:,.0f}"
    # The published MT and ML are percentages.
    return f"{value:.1f}" if kind == "rate" or isinstance(value, float) else f"{value:d}"
