import math
from pathlib import Path

import cv2
import pytest

from ssat.errors import InputError
from ssat.report.plots import score_bars, training_curves


def _history(epochs: int = 4) -> list[dict[str, float]]:
    rows = []
    for epoch in range(epochs):
        row = {"epoch": epoch, "loss": 9.0 / (epoch + 1), "accuracy": epoch / epochs, "lr": 0.1 * 0.1 ** (epoch // 2)}
        if epoch % 2:
            row["recall_at_1"] = 0.5
        rows.append(row)
    return rows


def test_training_curves_draw_a_panel_per_column(tmp_path: Path) -> None:
    four = cv2.imread(str(training_curves(_history(), tmp_path / "four.png")))
    loss_only = [{"epoch": row["epoch"], "loss": row["loss"]} for row in _history()]
    one = cv2.imread(str(training_curves(loss_only, tmp_path / "one.png")))
    # Four panels stand three abreast in two rows, one panel alone.
    assert four.shape[1] == pytest.approx(3 * one.shape[1], rel=0.02)
    assert four.shape[0] == pytest.approx(2 * one.shape[0], rel=0.02)


def test_training_curves_take_synonyms_and_leave_infinite_values_out(tmp_path: Path) -> None:
    with_gaps = [{"epoch": 0, "loss": math.nan}, {"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    without = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]
    first = training_curves(with_gaps, tmp_path / "a.png").read_bytes()
    assert first == training_curves(without, tmp_path / "b.png").read_bytes()
    by_synonym = training_curves([{"epoch": 1, "lr": 0.1}], tmp_path / "c.png").read_bytes()
    assert by_synonym == training_curves([{"epoch": 1, "learning_rate": 0.1}], tmp_path / "d.png").read_bytes()


def test_training_curves_leave_out_what_is_zero_throughout(tmp_path: Path) -> None:
    rows = [{"epoch": n, "loss": 1.0 / (n + 1), "accuracy": n / 4, "corrupt_frames": 0.0} for n in range(4)]
    without = [{key: value for key, value in row.items() if key != "corrupt_frames"} for row in rows]
    drawn = training_curves(rows, tmp_path / "a.png").read_bytes()
    assert drawn == training_curves(without, tmp_path / "b.png").read_bytes()
    rows[2]["corrupt_frames"] = 3.0
    assert drawn != training_curves(rows, tmp_path / "c.png").read_bytes()


def test_training_curves_refuse_an_empty_history(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training history"):
        training_curves([{"epoch": 1}], tmp_path / "curves.png")


def test_score_bars_name_the_method_that_lacks_a_score(tmp_path: Path) -> None:
    scores = {"ssat": {"idf1": 0.6, "mota": 0.5}, "box": {"idf1": 0.5}}
    with pytest.raises(InputError, match="box has no score mota"):
        score_bars(scores, tmp_path / "bars.png", metrics=[("idf1", "IDF1"), ("mota", "MOTA")])
    scores["box"]["mota"] = -0.2
    assert cv2.imread(str(score_bars(scores, tmp_path / "bars.png", metrics=[("idf1", "IDF1")]))) is not None
