import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.report.html import ReportFigure, ReportTable, ReportVideo, write_report
from ssat.video.pictures import write_png


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_a_report_holds_its_pictures_and_escapes_every_text(tmp_path: Path) -> None:
    picture = write_png(np.full((8, 8, 3), 200, np.uint8), tmp_path / "picture.png")
    evil = "<script>alert(1)</script>"
    path = write_report(
        tmp_path / "report.html",
        title=f"Benchmark {evil}",
        tables=[
            ReportTable("Scores", [{"sequence": evil, "IDF1": 57.3}, {"sequence": "b", "IDF1": 50.2}], evil),
            ReportTable("Empty", []),
            ReportTable("Runs", [{"run": "one", "n": 1}], links={"one": tmp_path / "other" / "report.html"}),
        ],
        figures=[ReportFigure(f'Curves "{evil}', picture, "a note")],
        notes=["first", evil],
        videos=[ReportVideo("walk", tmp_path / "videos" / "a b#1.mp4")],
    )
    page = path.read_text()
    parsed = _Tags()
    parsed.feed(page)
    # The one script that sorts tables; the page allows it by its digest and no other.
    assert parsed.tags.count("script") == 1
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert "57.3" in parsed.texts
    assert "Empty" not in parsed.texts
    assert base64.b64encode(picture.read_bytes()).decode() in page
    outside = [link for link in parsed.links if not link.startswith("data:")]
    assert set(outside) == {"videos/a%20b%231.mp4", "other/report.html"}, "nothing is fetched from anywhere"
    assert not re.search(r"https?://", page)


def test_a_figure_that_is_no_png(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(InputError, match="not a PNG"):
        write_report(tmp_path / "r.html", title="", figures=[ReportFigure("x", tmp_path / "picture.png")])
    with pytest.raises(InputError, match="cannot be read"):
        write_report(tmp_path / "r.html", title="", figures=[ReportFigure("x", tmp_path / "missing.png")])
    assert not (tmp_path / "r.html").exists()
