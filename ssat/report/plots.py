"""Figures drawn without a display: training curves, compared scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from ssat.errors import InputError
from ssat.workspace import committed

# Column of the training history → title of its panel, how its axis reads ("log", "share" of 1, or "plain").
_TRAINING_PANELS: dict[str, tuple[str, str]] = {
    "loss": ("Loss", "plain"),
    "accuracy": ("Training accuracy", "share"),
    "learning_rate": ("Learning rate", "log"),
    "recall_at_1": ("Held-out recall@1", "share"),
    "probe_auc": ("Probe AUC", "plain"),
    "target_cosine": ("Mean target cosine", "plain"),
    "images_per_second": ("Images per second", "plain"),
}
# Synonyms that are common in training code: the same panel whatever the loop calls them.
_SYNONYMS = {
    "lr": "learning_rate",
    "acc": "accuracy",
    "recall1": "recall_at_1",
    "heldout_recall_at_1": "recall_at_1",
    "held_out_recall_at_1": "recall_at_1",
    "held_out_recall": "recall_at_1",
    "images_per_s": "images_per_second",
    "mean_target_cosine": "target_cosine",
}
INK = "#1f2933"
_LINE = "#0b6e99"
_PALETTE = ("#0b6e99", "#d9822b", "#5c7080", "#3d9970", "#8e44ad", "#b83280")
_STEP_COLUMNS = ("epoch", "step")


def training_curves(history: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Return one panel per column of `history`, against its `epoch` (else `step`, else the row number), as a PNG.

    Args:
        history: a row per epoch, columns such as loss, accuracy, learning_rate, recall_at_1. A row may lack a column
            (held-out recall is not measured in every epoch); values that are not finite are left out, and so are
            columns that are 0 throughout (no corrupt frame, for example): the history itself has them.
        path: where the picture goes; replaced whole.

    Raises:
        InputError: nothing to draw.
    """
    rows = [{_SYNONYMS.get(key, key): value for key, value in row.items()} for row in history]
    x_name = next((name for name in _STEP_COLUMNS if any(name in row for row in rows)), "row")
    present = {key: None for row in rows for key, value in row.items() if _is_finite(value) and value}
    columns = [key for key in _TRAINING_PANELS if key in present]
    columns += [key for key in present if key not in columns and key not in _STEP_COLUMNS]
    if not columns:
        raise InputError(f"{path}: no training history to draw; expected rows with a loss, accuracy or other column")
    across = min(len(columns), 3)
    down = math.ceil(len(columns) / across)
    figure = Figure(figsize=(4.0 * across, 2.9 * down), dpi=110, layout="constrained")
    for position, column in enumerate(columns):
        axes = figure.add_subplot(down, across, position + 1)
        title, scale = _TRAINING_PANELS.get(column, (column.replace("_", " ").capitalize(), "plain"))
        points = [(row.get(x_name, n), row[column]) for n, row in enumerate(rows) if _is_finite(row.get(column))]
        axes.plot([x for x, _ in points], [y for _, y in points], color=_LINE, marker="o", markersize=3, linewidth=1.6)
        style_axes(axes, title)
        axes.set_xlabel(x_name, color=INK, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        if scale == "log" and min(y for _, y in points) > 0:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
        elif scale == "share":
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return save_figure(figure, path)


def score_bars(
    scores: Mapping[str, Mapping[str, float]], path: Path, *, metrics: Sequence[tuple[str, str]], title: str = ""
) -> Path:
    """Draw a group of bars per metric, a bar per method, values as percentages, as a PNG.

    Args:
        scores: method → metric → share of 1.
        metrics: (key, name shown) in the order of the groups.

    Raises:
        InputError: no method, or a method without one of the metrics.
    """
    for method, values in scores.items():
        missing = [key for key, _ in metrics if key not in values]
        if missing:
            raise InputError(f"{path}: {method} has no score {', '.join(missing)}")
    if not scores or not metrics:
        raise InputError(f"{path}: no scores to draw")
    figure = Figure(figsize=(max(4.5, 1.1 * len(metrics) * len(scores)), 3.4), dpi=110, layout="constrained")
    axes = figure.add_subplot(1, 1, 1)
    width = 0.8 / len(scores)
    for n, (method, values) in enumerate(scores.items()):
        left = [group - 0.4 + (n + 0.5) * width for group in range(len(metrics))]
        bars = axes.bar(left, [values[key] for key, _ in metrics], width * 0.92, label=method, color=palette_colour(n))
        axes.bar_label(bars, [f"{100 * values[key]:.1f}" for key, _ in metrics], fontsize=8, padding=2, color=INK)
    axes.set_xticks(range(len(metrics)), [name for _, name in metrics])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    lowest = min(0.0, *(values[key] for values in scores.values() for key, _ in metrics))
    axes.set_ylim(lowest, 1.0)
    style_axes(axes, title)
    figure.legend(loc="outside lower center", ncols=min(len(scores), 4), fontsize=8, frameon=False)
    return save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write `figure` as a PNG, whole or not at all, and return `path`."""
    FigureCanvasAgg(figure)
    with committed(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return path


def style_axes(axes: Axes, title: str) -> None:
    """Apply the common style of all figures."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.grid(axis="y", color="#d9e0e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def palette_colour(n: int) -> str:
    """Return the colour of the n-th line or bar."""
    return _PALETTE[n % len(_PALETTE)]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
