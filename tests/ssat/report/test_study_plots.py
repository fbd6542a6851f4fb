import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssat.errors import InputError
from ssat.report import study_plots
from ssat.report.plots import save_figure
from ssat.report.study_plots import clips_figure, curves_figure, methods_figure, surfaces_figure, switch_timeline
from ssat.studies.published import TABLE_4, TABLE_4_CLIPS


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they are when they are saved, in order."""
    saved: list[Figure] = []

    def keep(figure: Figure, path: Path) -> Path:
        saved.append(figure)
        return save_figure(figure, path)

    monkeypatch.setattr(study_plots, "save_figure", keep)
    return saved


def _points(axes: Axes) -> list[list[tuple[float, float]]]:
    return [list(zip(*map(list, line.get_data()), strict=True)) for line in axes.get_lines()]


def test_methods_are_bars_in_percent_the_first_at_the_top(tmp_path: Path, figures: list[Figure]) -> None:
    rows = [{"name": "a", "idf1": 0.6, "mota": -0.1, "idsw": 12}, {"name": "b", "idf1": 0.5, "mota": 0.2, "idsw": 3}]
    picture = cv2.imread(str(methods_figure(rows, tmp_path / "m.png")))
    panels = figures[0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["IDF1, %", "MOTA, %", "identity switches"]
    widths = [[bar.get_width() for bar in axes.patches] for axes in panels]
    assert widths == [pytest.approx([60, 50]), pytest.approx([-10, 20]), [12, 3]]
    assert [label.get_text() for axes in panels for label in axes.texts] == ["60.0", "50.0", "-10.0", "20.0", "12", "3"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["a", "b"]
    assert panels[0].yaxis_inverted()
    bars = [bar.get_facecolor()[:3] for bar in panels[0].patches]
    colours = [np.rint(255 * np.array(colour)).astype(int)[::-1] for colour in bars]
    assert all((np.abs(picture.astype(int) - colour).max(axis=2) <= 1).sum() > 300 for colour in colours)


def test_scores_over_clips_have_means_intervals_seeds_and_what_is_published(
    tmp_path: Path, figures: list[Figure]
) -> None:
    def row(clips: int, idf1: float, half: float) -> dict[str, Any]:
        scores = {"idf1": idf1, "mota": -0.1, "idsw": 12, "recall_at_1": 0.9}
        halves = dict.fromkeys((f"{name}_half" for name in scores), math.nan) | {"idf1_half": half}
        return {"clips": clips, **scores, **halves, **{f"{name}_seeds": [value] for name, value in scores.items()}}

    published = [(clips, row.as_json()) for clips, row in zip(TABLE_4_CLIPS, TABLE_4, strict=True)]
    clips_figure([row(40, 0.6, math.nan), row(80, 0.5, 0.02)], published, tmp_path / "c.png")
    idf1, _, switches, _ = figures[0].axes
    mean, *seeds, theirs = [points for points in _points(idf1) if len(points) != 0 and points[0][0] > 0]
    assert mean == [(40, pytest.approx(60)), (80, pytest.approx(50))]
    assert [(40, pytest.approx(60))] in seeds
    assert [(80, pytest.approx(50))] in seeds
    assert theirs == [(clips, pytest.approx(100 * scores["idf1"])) for clips, scores in published]
    bars = idf1.collections[0].get_segments()
    assert [bar[:, 1].tolist() for bar in bars] == [pytest.approx([60, 60]), pytest.approx([48, 52])]
    assert max(x for points in _points(switches) for x, _ in points) == 80, "switches of other sequences are left out"
    assert idf1.get_xscale() == "log"


def test_surfaces_show_every_pair_at_the_chosen_point(tmp_path: Path, figures: list[Figure]) -> None:
    values = {"tau1": (0.3, 0.5), "tau2": (0.6,), "alpha": (1.0, 2.0, 4.0)}
    scores = np.array([[[0.1, 0.2, 0.3]], [[0.4, 0.5, 0.6]]])
    surfaces_figure(values, scores, (1, 0, 2), tmp_path / "s.png")
    panel, _ = figures[0].axes  # and the colours' scale; a parameter with one value has no panel
    np.testing.assert_allclose(panel.get_images()[0].get_array(), [[10, 40], [20, 50], [30, 60]])
    assert [text.get_text() for text in panel.texts] == ["10.0", "40.0", "20.0", "50.0", "30.0", "60.0"]
    assert _points(panel) == [[(1, 2)]]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("tau1", "alpha")


def test_curves_leave_out_what_is_not_finite(tmp_path: Path, figures: list[Figure]) -> None:
    curves_figure({"run": {"loss": [(1, 2.0), (2, math.nan), (3, 1.0)]}, "empty": {}}, tmp_path / "k.png")
    (panel,) = figures[0].axes
    assert _points(panel) == [[(1, 2.0), (3, 1.0)], []]
    assert [line.get_label() for line in panel.get_lines()] == ["run", "empty"]


def test_switches_are_strokes_at_their_frames(tmp_path: Path, figures: list[Figure]) -> None:
    switch_timeline({"SSAT": (range(1, 50), [3, 9]), "SORT": (range(1, 40), [])}, tmp_path / "t.png")
    (panel,) = figures[0].axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["SSAT (2)", "SORT (0)"]
    lines = [[segment[:, 0].tolist() for segment in drawn.get_segments()] for drawn in panel.collections]
    assert lines == [[[1, 49]], [[3, 3], [9, 9]], [[1, 39]], []]


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two parameters"):
        surfaces_figure({"tau1": (0.3,), "tau2": (0.6, 0.7)}, np.zeros((1, 2)), (0, 0), tmp_path / "s.png")
    for draw in (methods_figure, switch_timeline):
        with pytest.raises(InputError, match="nothing to draw"):
            draw({} if draw is switch_timeline else [], tmp_path / "x.png")
