"""Pictures of results: distances within and between people, and identities over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssat.mot.protocols import box_iou
from ssat.mot.rows import PEDESTRIAN, MotRows
from ssat.tracking import TrackerConfig
from ssat.tracking.distances import box_distance

_SAME, _OTHER, _INK = "#0b6e99", "#d9822b", "#1f2933"
_OVERLAP = 0.5
_DPI = 110


def people(truth: MotRows, boxes: MotRows, frames: range) -> np.ndarray:
    """Return the person (n,) of each box: the pedestrian whose label it overlaps most, by at least a half; 0: none.

    Each person is shown by one box of a frame at most.
    """
    answer = np.zeros(len(boxes), np.int64)
    for frame in frames:
        mine, theirs = boxes.at(frame), truth.at(frame)
        counts = (truth.classes[theirs] == PEDESTRIAN) & (truth.scores[theirs] != 0)
        ids, places = truth.ids[theirs][counts], truth.boxes[theirs][counts]
        iou_GD = box_iou(places, boxes.boxes[mine])
        while iou_GD.size and iou_GD.max() >= _OVERLAP:
            person, box = np.unravel_index(iou_GD.argmax(), iou_GD.shape)
            answer[mine.start + int(box)] = ids[person]
            iou_GD[person], iou_GD[:, box] = 0, 0
    return answer


@dataclass(frozen=True)
class Steps:
    """Distances from the boxes of each frame to those of the next one, where both show a person.

    Attributes:
        appearance, position: (n,) D_cos and D_bbox of every pair.
        same: (n,) both show the same person.
    """

    appearance: np.ndarray
    position: np.ndarray
    same: np.ndarray

    def median(self, of: str, *, same: bool) -> float:
        return float(np.median(getattr(self, of)[self.same == same]))


def steps(boxes: MotRows, who: np.ndarray, features: np.ndarray, frames: range, alpha: float) -> Steps:
    appearance, position, same = [], [], []
    for frame in frames[:-1]:
        before, after = boxes.at(frame), boxes.at(frame + 1)
        rows, columns = (np.arange(part.start, part.stop)[who[part] > 0] for part in (before, after))
        appearance.append((1 - features[rows] @ features[columns].T).ravel())
        position.append(box_distance(boxes.boxes[rows], boxes.boxes[columns], alpha).ravel())
        same.append((who[rows][:, None] == who[columns]).ravel())
    return Steps(*(np.concatenate(parts) for parts in (appearance, position, same)))


def draw_distances(panels: dict[str, dict[str, Steps]], path: Path) -> None:
    """A row for each network, a column for each run: shares of the pairs by D_cos, with tau1."""
    networks, runs = list(panels), list(next(iter(panels.values())))
    figure = Figure(figsize=(2.9 * len(runs), 2.1 * len(networks) + 0.5), dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(networks), len(runs), sharex=True, squeeze=False)
    edges, tau1 = np.linspace(0, 1.4, 57), TrackerConfig().tau1
    for row, network in enumerate(networks):
        for column, run in enumerate(runs):
            panel_data, panel = panels[network][run], axes[row, column]
            for same, colour in ((False, _OTHER), (True, _SAME)):
                counts, _ = np.histogram(np.clip(panel_data.appearance[panel_data.same == same], 0, edges[-1]), edges)
                # Each group has its own scale: a network that sees no difference puts all at 0.
                panel.stairs(counts / counts.max(), edges, fill=True, color=colour, alpha=0.75)
            panel.axvline(tau1, color=_INK, lw=1, ls="--")
            within = float((panel_data.appearance[~panel_data.same] < tau1).mean())
            panel.text(
                0.98, 0.93, f"{within:.0%} of others\nbelow tau1", transform=panel.transAxes, ha="right", va="top"
            )
            panel.set_yticks([])
            if row == 0:
                panel.set_title(run, fontsize=9)
            if column == 0:
                panel.set_ylabel(network)
    figure.supxlabel(
        "D_cos to the boxes of the next frame: the same person (blue), another person (orange)", fontsize=9
    )
    _write(figure, path)


def draw_alpha(rows: dict[str, dict[float, float]], chosen: float, path: Path) -> None:
    """IDF1 against alpha, a line for each run; 0 is the paper's constant."""
    figure = Figure(figsize=(6.4, 3.4), dpi=_DPI, layout="constrained")
    panel = figure.subplots()
    for name, values in rows.items():
        alphas, scores = list(values), np.array(list(values.values()))
        panel.plot(alphas, 100 * (scores - values[TrackerConfig().alpha]), marker="o", ms=3, label=name)
    panel.axhline(0, color=_INK, lw=0.8)
    panel.axvline(chosen, color=_INK, lw=1, ls="--")
    panel.set_xscale("log", base=2)
    panel.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
    panel.set_xlabel("alpha")
    panel.set_ylabel("IDF1 against alpha 2, points")
    panel.legend(fontsize=7, frameon=False, bbox_to_anchor=(1, 1), loc="upper left")
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(path)
    print(f"picture: {path}")
