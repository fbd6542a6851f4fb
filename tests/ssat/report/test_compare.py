from pathlib import Path

import pytest

from ssat.report.compare import ComparedRun, compared_scores, differing_parameters, sequence_changes, write_comparison


def _run(label: str, idf1: dict[str, float], **parameters: str) -> ComparedRun:
    scores = {f"{name}/idf1": value for name, value in idf1.items()}
    scores |= {"A/idsw": 4.0 if label == "new" else 9.0, "idf1": 0.5, "mota": 0.4, "idsw": 12.0}
    curve = {"loss": [(1.0, 3.0), (2.0, 2.0)]} if label == "new" else {}
    return ComparedRun(label, label * 8, "benchmark", {"tau1": "0.56", **parameters}, scores, curve)


_OLD = _run("old", {"A": 0.6, "B": 0.5, "gone": 0.1}, detections="public")
_NEW = _run("new", {"A": 0.65, "B": 0.3, "more": 0.9}, detections="public", alpha="1")


def test_only_what_differs_is_listed() -> None:
    assert differing_parameters([_OLD, _NEW]) == [{"parameter": "alpha", "old": "–", "new": "1"}]
    assert differing_parameters([_OLD, _OLD]) == []


def test_sequences_that_both_have_the_largest_loss_first() -> None:
    rows = sequence_changes([_OLD, _NEW])
    assert [row.sequence for row in rows] == ["B", "A"]
    assert [row.gain for row in rows] == pytest.approx([-20.0, 5.0])
    assert rows[1].switches == -5


def test_scores_side_by_side_and_a_report(tmp_path: Path) -> None:
    other = ComparedRun("t", "f" * 32, "training", {}, {"held_out_recall_at_1": 0.95})
    rows = compared_scores([_OLD, _NEW, other])
    assert (rows[0]["idf1"], rows[0]["idsw"], rows[0]["held_out_recall_at_1"]) == ("50.0", "12", "–")
    assert (rows[2]["idf1"], rows[2]["held_out_recall_at_1"]) == ("–", "95.0")
    assert "probe AUC (95 %)" not in rows[2]
    kept = {"kept_probe_auc": 0.934, "kept_probe_auc_low": 0.91, "kept_probe_auc_high": 0.952, "probe_auc": 0.5}
    rows = compared_scores([other, ComparedRun("p", "e" * 32, "training", {}, kept)])
    assert [row["probe AUC (95 %)"] for row in rows] == ["–", "93.4 (91.0–95.2)"]
    answer = write_comparison([_OLD, _NEW, other], tmp_path)
    assert {path.name for path in answer.files} == {"report.html", "scores.png", "curves.png"}
    page = (tmp_path / "report.html").read_text()
    assert "−20.0" in page or "-20.0" in page
