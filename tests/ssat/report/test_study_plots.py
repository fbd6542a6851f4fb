import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from ssat.errors import InputError
from ssat.report.study_plots import clips_figure, curves_figure, methods_figure, surfaces_figure, switch_timeline
from ssat.studies.published import TABLE_4, TABLE_4_CLIPS


def _drawn(path: Path) -> bool:
    picture = cv2.imread(str(path))
    return picture.shape[0] > 80 and picture.std() > 5


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    scores = {"idf1": 0.6, "mota": -0.1, "idsw": 12}
    assert _drawn(methods_figure([{"name": "a", **scores}, {"name": "b", **scores}], tmp_path / "m.png"))
    row = {"clips": 40, **scores, "recall_at_1": 0.9}
    row |= {f"{key}_half": math.nan for key in (*scores, "recall_at_1")}
    row |= {f"{key}_seeds": [row[key]] for key in (*scores, "recall_at_1")}
    published = [(clips, row.as_json()) for clips, row in zip(TABLE_4_CLIPS, TABLE_4, strict=True)]
    assert _drawn(clips_figure([row, {**row, "clips": 80, "idf1_half": 0.02}], published, tmp_path / "c.png"))
    values = {"tau1": (0.3, 0.5), "tau2": (0.6,), "alpha": (1.0, 2.0, 4.0)}
    assert _drawn(surfaces_figure(values, np.random.default_rng(0).random((2, 1, 3)), (1, 0, 2), tmp_path / "s.png"))
    assert _drawn(curves_figure({"run": {"loss": [(1, 2.0), (2, math.nan)]}, "empty": {}}, tmp_path / "k.png"))
    assert _drawn(switch_timeline({"SSAT": (range(1, 50), [3, 9]), "SORT": (range(1, 50), [])}, tmp_path / "t.png"))


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two parameters"):
        surfaces_figure({"tau1": (0.3,), "tau2": (0.6, 0.7)}, np.zeros((1, 2)), (0, 0), tmp_path / "s.png")
    for draw in (methods_figure, switch_timeline):
        with pytest.raises(InputError, match="nothing to draw"):
            draw({} if draw is switch_timeline else [], tmp_path / "x.png")
