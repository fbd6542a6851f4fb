"""Reports in a real browser."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from ssat.report.html import ReportFigure, ReportTable, ReportVideo, write_report
from ssat.tracking import Tracker
from ssat.video.annotated import AnnotatedVideo
from ssat.video.pictures import write_png

pytestmark = pytest.mark.slow


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report with everything that a report may hold; it leads to a second one."""
    other = write_report(tmp_path / "runs" / "one & two" / "report.html", title="The other one")
    with AnnotatedVideo(tmp_path / "walk.mp4", 10.0) as video:
        for frame in range(1, 4):
            video.write(frame, np.zeros((64, 96, 3), np.uint8), Tracker().update(np.empty((0, 4)), None))
    rows = [
        {"tracker": "SORT", "IDF1": "57.3", "IDSW": "12", "held out": "–"},
        {"tracker": "SSAT", "IDF1": "9.5", "IDSW": "1,020", "held out": "0.9"},
        {"tracker": "box", "IDF1": "−3.0", "IDSW": "7", "held out": "0.95"},
    ]
    wide = [{f"column number {n}": "value" for n in range(20)}]
    return write_report(
        tmp_path / "report.html",
        title="Study",
        notes=["A note that is long enough to be broken over several lines on the narrow screen of a phone."],
        tables=[ReportTable("Scores", rows, links={"SSAT": other}), ReportTable("Wide", wide)],
        figures=[ReportFigure("Picture", write_png(np.full((300, 1400, 3), 200, np.uint8), tmp_path / "p.png"))],
        videos=[ReportVideo("walk", tmp_path / "walk.mp4")],
    )


def _column(browser: Any, n: int) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('table')[0].tBodies[0].rows].map(r => r.cells[arguments[0]].innerText)", n
    )


def _errors(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def test_a_report_renders_sorts_and_leads_on(browser: Any, report: Path) -> None:
    browser.set_window_size(1200, 900)
    browser.get(report.as_uri())
    assert browser.title == "Study"
    picture = browser.find_element("css selector", "img")
    assert browser.execute_script("return arguments[0].naturalWidth", picture) == 1400

    heads = browser.find_elements("css selector", "table:first-of-type thead button")[:4]
    heads[1].click()
    assert _column(browser, 1) == ["57.3", "9.5", "−3.0"], "numbers, not words; the largest first"
    heads[1].click()
    assert _column(browser, 0) == ["box", "SSAT", "SORT"]
    heads[2].click()
    assert _column(browser, 2) == ["1,020", "12", "7"]
    heads[3].click()
    assert _column(browser, 3) == ["0.95", "0.9", "–"]
    heads[3].click()
    assert _column(browser, 3) == ["0.9", "0.95", "–"], "what is missing stands last"
    heads[0].click()
    heads[0].click()
    assert _column(browser, 0) == ["box", "SORT", "SSAT"]

    links = [link.get_attribute("href") for link in browser.find_elements("css selector", "a")]
    assert len(links) == 2
    assert all(Path(unquote(urlparse(link).path)).is_file() for link in links)
    browser.find_element("link text", "SSAT").click()
    assert browser.title == "The other one"
    assert _errors(browser) == []


def test_nothing_sticks_out_of_a_phone(browser: Any, report: Path) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        browser.get(report.as_uri())
        width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert inner == 390
        assert width <= inner, "wide tables and pictures scroll or shrink inside the page"
        table = browser.find_elements("css selector", ".scroll")[1]
        assert browser.execute_script("return arguments[0].scrollWidth > arguments[0].clientWidth", table)
        assert _errors(browser) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_script_that_got_into_the_page_does_not_run(browser: Any, report: Path) -> None:
    page = report.read_text().replace("<h1>", "<script>document.title = 'owned'</script><h1>")
    report.write_text(page)
    browser.get(report.as_uri())
    assert browser.title == "Study"
    assert any("Content Security Policy" in message for message in _errors(browser))
