"""The figures of studies: methods compared, scores against the number of clips, response surfaces, curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.report.plots import INK, palette_colour, save_figure, style_axes

_PUBLISHED = "#8a97a3"
_TICKS_APART = 1.3  # numbers of clips nearer than this would be written over each other
_NAMES = {
    "mota": "MOTA, %",
    "idf1": "IDF1, %",
    "hota": "HOTA, %",
    "idsw": "identity switches",
    "recall_at_1": "held-out recall at 1, %",
    "auc": "AUC by labels, %",
    "probe_auc": "probe AUC, %",
}


def shown_value(metric: str, value: float) -> float:
    """Return a score for display: shares in percent, counts unchanged."""
    return value if metric == "idsw" else 100 * value


def methods_figure(
    rows: Sequence[Mapping[str, Any]], path: Path, metrics: Sequence[str] = ("idf1", "mota", "idsw")
) -> Path:
    """Return a panel per metric, a bar per method, from the first row at the top; as a PNG.

    Args:
        rows: "name" and the scores, shares of 1 and counts.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError(f"{path}: nothing to draw")
    figure = Figure(figsize=(3.3 * len(metrics) + 1.2, 0.9 + 0.38 * len(rows)), dpi=110, layout="constrained")
    names = [str(row["name"]) for row in rows]
    places = range(len(rows))
    for n, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), n + 1)
        values = [shown_value(metric, float(row[metric])) for row in rows]
        bars = axes.barh(places, values, color=[palette_colour(k) for k in places], height=0.72)
        text = [f"{value:.0f}" if metric == "idsw" else f"{value:.1f}" for value in values]
        axes.bar_label(bars, text, fontsize=8, padding=3, color=INK)
        axes.invert_yaxis()
        axes.set_yticks(places, names if n == 0 else [""] * len(rows))
        axes.set_xlim(min(0.0, *values) * 1.15, max(1.0, *values) * 1.16)
        style_axes(axes, _NAMES[metric])
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color="#d9e0e6", linewidth=0.8)
    return save_figure(figure, path)


def clips_figure(
    rows: Sequence[Mapping[str, Any]],
    published: Sequence[tuple[int, Mapping[str, Any]]],
    path: Path,
    metrics: Sequence[str] = ("idf1", "mota", "idsw", "recall_at_1"),
) -> Path:
    """Draw scores against the number of training clips (log axis): a dot per seed, mean and interval; as a PNG.

    Args:
        rows: "clips", and per metric "METRIC" (mean), "METRIC_half" (half width of the interval, may be nan) and
            "METRIC_seeds" (list); shares of 1 and counts.
        published: number of clips and scores, drawn apart, dashed; switches are not, they count over other sequences.
    """
    if not rows:
        raise InputError(f"{path}: nothing to draw")
    figure = Figure(figsize=(8.4, 6.0), dpi=110, layout="constrained")
    ours = [int(row["clips"]) for row in rows]
    for n, metric in enumerate(metrics):
        axes = figure.add_subplot(math.ceil(len(metrics) / 2), 2, n + 1)
        mean = [shown_value(metric, row[metric]) for row in rows]
        half = [shown_value(metric, row[f"{metric}_half"]) for row in rows]
        half = [0.0 if math.isnan(value) else value for value in half]
        axes.errorbar(
            ours,
            mean,
            half,
            color=palette_colour(0),
            marker="o",
            capsize=4,
            linewidth=1.6,
            label="ours, mean and interval",
        )
        for clips, row in zip(ours, rows, strict=True):
            seeds = [shown_value(metric, value) for value in row[f"{metric}_seeds"]]
            axes.plot([clips] * len(seeds), seeds, ".", color=palette_colour(1), markersize=5, alpha=0.8)
        # Counts over other sequences are on another scale: the table has them.
        known = [(clips, scores[metric]) for clips, scores in published if metric in scores and metric != "idsw"]
        if known:
            axes.plot(
                [clips for clips, _ in known],
                [shown_value(metric, value) for _, value in known],
                "s--",
                color=_PUBLISHED,
                markersize=4,
                linewidth=1.1,
                label="published (all of MOT17, other detections)",
            )
        ticks = list(ours)
        for clips, _ in known:
            if all(max(clips, tick) / min(clips, tick) > _TICKS_APART for tick in ticks):
                ticks.append(clips)
        ticks.sort()
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([str(tick) for tick in ticks])
        axes.set_xlabel("training clips", fontsize=9, color=INK)
        style_axes(axes, _NAMES[metric])
        if n == 0:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False
            )
    return save_figure(figure, path)


def surfaces_figure(
    axes_values: Mapping[str, Sequence[float]],
    scores: NDArray[np.float64],
    chosen: Sequence[int],
    path: Path,
    metric: str = "idf1",
) -> Path:
    """Return the score over every pair of parameters, the others where the chosen point has them; as a PNG.

    Args:
        axes_values: parameter → its values, in the order of the axes of `scores`.
        scores: an axis per parameter, shares of 1.
        chosen: index of the chosen point along each axis; marked.
    """
    names = [name for name, values in axes_values.items() if len(values) > 1]
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    if not pairs:
        raise InputError(f"{path}: a surface needs two parameters with two values or more")
    order = list(axes_values)
    low, high = 100 * float(np.nanmin(scores)), 100 * float(np.nanmax(scores))
    across = min(3, len(pairs))
    figure = Figure(figsize=(3.5 * across + 0.6, 2.9 * math.ceil(len(pairs) / across)), dpi=110, layout="constrained")
    panels: list[Axes] = []
    for n, (first, second) in enumerate(pairs):
        axes = figure.add_subplot(math.ceil(len(pairs) / across), across, n + 1)
        panels.append(axes)
        a, b = order.index(first), order.index(second)
        at = tuple(slice(None) if k in (a, b) else chosen[k] for k in range(len(order)))
        table = 100 * scores[at].T  # the second parameter upwards
        image = axes.imshow(table, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="viridis")
        for (row, column), value in np.ndenumerate(table):
            dark = (value - low) / max(high - low, 1e-9) < 0.6
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white" if dark else INK)
        axes.plot(chosen[a], chosen[b], "s", markersize=22, markerfacecolor="none", markeredgecolor="#e4572e", mew=2)
        axes.set_xticks(range(len(axes_values[first])), [f"{value:g}" for value in axes_values[first]])
        axes.set_yticks(range(len(axes_values[second])), [f"{value:g}" for value in axes_values[second]])
        axes.set_xlabel(first, fontsize=9, color=INK)
        axes.set_ylabel(second, fontsize=9, color=INK)
        axes.tick_params(labelsize=8, colors=INK, length=0)
    figure.colorbar(image, ax=panels, shrink=0.8).set_label(_NAMES[metric], fontsize=9, color=INK)
    return save_figure(figure, path)


def curves_figure(histories: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], path: Path) -> Path:
    """Return a panel per number that was recorded over time, a line per run; as a PNG.

    Args:
        histories: run → metric → (step, value).
    """
    metrics = list(dict.fromkeys(metric for history in histories.values() for metric in history))
    if not metrics:
        raise InputError(f"{path}: no curves to draw")
    across = min(3, len(metrics))
    down = math.ceil(len(metrics) / across)
    figure = Figure(figsize=(4.0 * across, 2.8 * down + 0.4), dpi=110, layout="constrained")
    for n, metric in enumerate(metrics):
        axes = figure.add_subplot(down, across, n + 1)
        for k, (run, history) in enumerate(histories.items()):
            points = [(x, y) for x, y in history.get(metric, ()) if math.isfinite(y)]
            label = run if n == 0 else None  # one legend for all panels
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                color=palette_colour(k),
                marker="o" if len(points) < 30 else None,
                markersize=3,
                linewidth=1.5,
                label=label,
            )
        style_axes(axes, metric.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    figure.legend(loc="outside lower center", ncols=min(len(histories), 4), fontsize=8, frameon=False)
    return save_figure(figure, path)


def switch_timeline(lines: Mapping[str, tuple[range, Sequence[int]]], path: Path, title: str = "") -> Path:
    """Identity switches over the frames: a line per method or sequence, a stroke per switch; as a PNG.

    Args:
        lines: name → frames that were scored, and the frame of each switch.
    """
    if not lines:
        raise InputError(f"{path}: nothing to draw")
    figure = Figure(figsize=(8.4, 0.9 + 0.34 * len(lines)), dpi=110, layout="constrained")
    axes = figure.add_subplot(1, 1, 1)
    for n, (frames, events) in enumerate(lines.values()):
        axes.hlines(n, frames.start, frames.stop - 1, color="#d9e0e6", linewidth=5)
        axes.vlines(list(events), n - 0.36, n + 0.36, color=palette_colour(n), linewidth=1.5)
    labels = [f"{name} ({len(events)})" for name, (_, events) in lines.items()]
    axes.set_yticks(range(len(lines)), labels)
    axes.invert_yaxis()
    style_axes(axes, title)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("frame", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
    return save_figure(figure, path)


def tuning_figure(values: Sequence[float], importance: Mapping[str, float], path: Path, metric: str) -> Path:
    """Return the score of every trial with the best so far, and the importance of every setting; as a PNG.

    Args:
        values: score of each trial, as a share of 1, in the order of the trials.
        importance: setting → share of the score's variance; may be empty.

    Raises:
        InputError: no trials.
    """
    if not values:
        raise InputError(f"{path}: no trials to draw")
    figure = Figure(figsize=(10, 3.6), dpi=110, layout="constrained")
    axes = figure.add_subplot(1, 2, 1)
    shown = [shown_value(metric, value) for value in values]
    trials = range(1, len(shown) + 1)
    axes.plot(trials, shown, ".", color=_PUBLISHED, label="trial")
    axes.plot(trials, np.maximum.accumulate(shown), color=palette_colour(0), label="best so far")
    style_axes(axes, f"{_NAMES[metric]}, by trial")
    axes.legend(frameon=False, fontsize=8)
    axes = figure.add_subplot(1, 2, 2)
    ordered = sorted(importance.items(), key=lambda item: item[1])
    bars = axes.barh([name for name, _ in ordered], [100 * share for _, share in ordered], color=palette_colour(0))
    axes.bar_label(bars, [f"{100 * share:.0f}" for _, share in ordered], fontsize=8, padding=3, color=INK)
    style_axes(axes, "importance, % of the variance")
    return save_figure(figure, path)
