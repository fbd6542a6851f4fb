"""The joins of a result, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from ssat.pipeline.linking import Linked
from ssat.report.sheets import crop_sheet

_MAX_ROWS = 20
_PAIRS_IN_A_ROW = 4


def link_table(linked: Linked) -> Table:
    """Return a row per join, the nearest first; at most 20."""
    joins = linked.relinked.joins
    more = f", the {_MAX_ROWS} nearest of them" if len(joins) > _MAX_ROWS else ""
    table = Table(title=f"{linked.name}: {linked.identities_before} identities became {linked.identities}{more}")
    for name in ("identity", "continues as", "away s", "distance"):
        table.add_column(name, justify="right")
    for join in sorted(joins, key=lambda join: join.distance)[:_MAX_ROWS]:
        table.add_row(str(join.later), str(join.earlier), f"{join.gap_seconds:.1f}", f"{join.distance:.3f}")
    return table


def link_sheet(linked: Linked, path: Path) -> Path:
    """Draw both tracks of every join in a row, the most doubtful joins first, as a PNG.

    Under each pair: the identities, the absence in seconds and the distance.
    """
    joins = sorted(linked.relinked.joins, key=lambda join: -join.distance)
    crops, labels = [], []
    for join in joins:
        crops += [linked.portraits[join.earlier], linked.portraits[join.later]]
        labels += [f"{join.earlier} {join.distance:.3f}", f"{join.later} {join.gap_seconds:.0f} s"]
    return crop_sheet(np.stack(crops), labels, path, columns=2 * min(_PAIRS_IN_A_ROW, len(joins)))
