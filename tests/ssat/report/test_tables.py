import io

from rich.console import Console

from ssat.report.tables import score_rows, score_table
from ssat.studies.published import TABLE_1

_SCORES = {
    "mota": 0.5266,
    "idf1": 0.57349,
    "hota": 0.44125,
    "mt": 7,
    "ml": 5,
    "fp": 6,
    "fn": 1346,
    "idsw": 11,
    "fps": 12.04,
}


def test_rows_read_as_percent_counts_and_rates() -> None:
    rows = score_rows({"MOT17-09": _SCORES, "no speed": {**_SCORES, "fps": None}}, _SCORES)
    assert rows[0] == {
        "sequence": "MOT17-09", "MOTA": "52.7", "IDF1": "57.3", "HOTA": "44.1", "MT": "7", "ML": "5", "FP": "6",
        "FN": "1346", "IDSW": "11", "fps": "12.0",
    }  # fmt: skip
    assert rows[1]["fps"] == "–"
    assert rows[2]["sequence"] == "overall"
    assert "frames/CPU-s" not in rows[0]
    fast = score_rows({"fast": {**_SCORES, "frames_per_cpu_second": 3208.7}, "unknown": _SCORES})
    assert [row["frames/CPU-s"] for row in fast] == ["3,209", "–"]


def test_the_ceiling_is_shown_where_it_was_measured() -> None:
    with_ceiling = {**_SCORES, "ceiling_idf1": 0.694, "closed_share": None}
    row = score_rows({"MOT17-09": with_ceiling}, {**with_ceiling, "closed_share": 0.25})
    assert (row[0]["IDF1 ceiling"], row[0]["closed %"], row[1]["closed %"]) == ("69.4", "–", "25.0")
    text = io.StringIO()
    Console(file=text, width=140).print(score_table({"MOT17-09": with_ceiling}, None, "title"))
    assert "69.4" in text.getvalue()


def test_the_table_for_the_terminal_shows_the_same() -> None:
    text = io.StringIO()
    Console(file=text, width=120).print(score_table({"MOT17-09": _SCORES}, _SCORES, "protocol motchallenge"))
    for cell in ("protocol motchallenge", "IDSW", "57.3", "overall", "1346"):
        assert cell in text.getvalue()


def test_published_rows_show_what_they_have() -> None:
    row = score_rows({"SSAT": TABLE_1[-1].as_json()}, first="method")[0]
    assert (row["MOTA"], row["MT"], row["FP"], row["HOTA"]) == ("62.0", "27.6", "14970", "–")
