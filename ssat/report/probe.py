"""The result of a probe, as a table and as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure
from rich.table import Table

from ssat.pipeline.probing import Probed, ProbedFeature
from ssat.report.plots import palette_colour, save_figure, style_axes
from ssat.tracking.probe import GapScore

_MAX_ROWS = 12  # of the picture's legend


def probe_table(result: Probed) -> Table:
    """Return a row per embedder and gap: AUC with its interval, AUC by labels where known, median distances."""
    linked = "" if math.isnan(result.purity) else f", {100 * result.purity:.1f} % of links confirmed by labels"
    table = Table(
        title=f"{result.name}: {result.detections} detections in {result.frames} frames, {result.tracklets} tracklets"
        f"{linked}"
    )
    labelled = any(feature.labelled for feature in result.features)
    table.add_column("embedder", overflow="fold")
    for name in ("gap s", "AUC (95 %)", *(("by labels",) if labelled else ()), "one person", "two people"):
        table.add_column(name, justify="right")
    for feature in result.features:
        for at, gap in enumerate(feature.score.gaps):
            by_labels = [_number(feature.labelled[at].auc)] if labelled else []
            distances = [_number(gap.same_cost[1]), _number(gap.different_cost[1])]
            name = feature.embedder if at == 0 else ""
            table.add_row(name, f"{gap.gap_seconds:g}", _with_interval(gap), *by_labels, *distances)
    return table


def calibration_table(result: Probed) -> Table:
    """Return a row per embedder: the scale of the appearance distance that follows, and raw distances of thresholds."""
    table = Table(title="calibration: distance between two people of one frame")
    table.add_column("embedder", overflow="fold")
    for name in ("pairs", "median", "scale", "tau1", "tau2"):
        table.add_column(name, justify="right")
    for feature in result.features:
        found = feature.score.calibration
        numbers = [_number(found.same_frame_median), _number(found.scale, 2)]
        numbers += [_number(feature.tau["tau1"]), _number(feature.tau["tau2"])]
        table.add_row(feature.embedder, str(found.pairs), *numbers)
    return table


def probe_figure(result: Probed, path: Path) -> Path:
    """Draw AUC with intervals per gap, and the distances of one person and of two at each gap, as a PNG."""
    features = result.features[:_MAX_ROWS]
    rows = len(features) * len(features[0].score.gaps)
    figure = Figure(figsize=(10, max(3.2, 0.32 * rows + 1.6)), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    labels = []
    for at, (feature, gap) in enumerate(_bars(features)):
        colour = palette_colour(features.index(feature))
        labels.append(f"{feature.embedder[-28:]}, {gap.gap_seconds:g} s")
        left.errorbar(
            gap.auc,
            at,
            xerr=[[gap.auc - gap.low], [gap.high - gap.auc]],
            fmt="o",
            color=colour,
            capsize=3,
            markersize=4,
        )
        for (low, middle, high), offset, shade in ((gap.same_cost, -0.16, 1.0), (gap.different_cost, 0.16, 0.45)):
            right.plot([low, high], [at + offset] * 2, color=colour, alpha=shade, linewidth=3, solid_capstyle="butt")
            right.plot(middle, at + offset, "|", color=colour, alpha=shade, markersize=9)
    left.set_yticks(range(rows), labels, fontsize=8)
    left.invert_yaxis()
    style_axes(left, "AUC without labels, 95 % interval")
    style_axes(right, "Distance: one person (dark), two (light); 5, 50, 95 %")
    for axes in (left, right):
        axes.grid(axis="x", color="#d9e0e6", linewidth=0.8)
    figure.suptitle(
        f"{result.name}: {result.tracklets} tracklets in {result.frames} frames", fontsize=10, x=0.01, ha="left"
    )
    return save_figure(figure, path)


def _bars(features: tuple[ProbedFeature, ...]) -> list[tuple[ProbedFeature, GapScore]]:
    return [(feature, gap) for feature in features for gap in feature.score.gaps]


def _with_interval(gap: GapScore) -> str:
    return f"{gap.auc:.3f} ({gap.low:.3f}–{gap.high:.3f})" if math.isfinite(gap.auc) else "–"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"
