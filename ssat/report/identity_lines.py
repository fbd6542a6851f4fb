"""Identities over time as a picture: a line for each person, in the colour of the identity that a tracker gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ssat.report.plots import INK, save_figure
from ssat.video.annotated import identity_colour

_DPI = 110


@dataclass(frozen=True)
class IdentityLines:
    """Boxes of known people and the identities that a tracker gave them; a panel of the picture.

    Attributes:
        title: shown above the panel, followed by the number of changes.
        frames, people, identities: (n,) of each box, in the order of the frames.
    """

    title: str
    frames: NDArray[np.int64]
    people: NDArray[np.int64]
    identities: NDArray[np.int64]


def identity_lines_figure(panels: Sequence[IdentityLines], path: Path) -> Path:
    """Draw the panels next to each other as a PNG, with a tick where the identity of a person changes."""
    everyone = np.unique(np.concatenate([panel.people for panel in panels]))
    first = {
        person: min(panel.frames[panel.people == person].min(initial=10**9) for panel in panels)
        for person in everyone.tolist()
    }
    line_of = {person: line for line, person in enumerate(sorted(first, key=lambda person: first[person]))}
    size = (4.7 * len(panels), 0.9 + 0.16 * len(everyone))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    every_axes = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
    for axes, panel in zip(every_axes, panels, strict=True):
        changes = 0
        for person, line in line_of.items():
            mine = panel.people == person
            frames, identities = panel.frames[mine], panel.identities[mine]
            colours = [tuple(part / 255 for part in identity_colour(identity)) for identity in identities.tolist()]
            axes.scatter(frames, np.full(len(frames), line), c=colours, s=9, marker="s", lw=0)
            changed = frames[1:][identities[1:] != identities[:-1]]
            changes += len(changed)
            axes.scatter(changed, np.full(len(changed), line), c=INK, s=40, marker="|", lw=1.4)
        axes.set_title(f"{panel.title}: {changes} changes", fontsize=9)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    every_axes[0].set_ylabel("a line for each person")
    figure.supxlabel("frame", fontsize=9)
    return save_figure(figure, path)
