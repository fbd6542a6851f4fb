"""MLflow's page in a real browser: runs, artifacts and the registered model of a workspace."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssat.video.pictures import write_png
from ssat.workspace import Workspace
from tasks.compare import compare_runs
from tasks.embedders import MODEL_NAME
from tasks.mlflow_run import mlflow_run
from tasks.pages import mlflow_page
from tasks.recorded import CHAMPION
from tasks.services import mlflow_session

pytestmark = pytest.mark.integration


def _shows(browser: Any, *texts: str, within_s: float = 90.0) -> None:
    """Waits until the page shows every text; it draws itself bit by bit."""
    deadline = time.monotonic() + within_s
    while missing := [text for text in texts if text not in browser.find_element("tag name", "body").text]:
        assert time.monotonic() < deadline, f"{browser.current_url} does not show {missing}"
        time.sleep(0.3)


def test_runs_are_compared_and_mlflows_page_shows_them(browser: Any, workspace: Workspace) -> None:
    from mlflow import MlflowClient

    with mlflow_session(workspace):
        ids = []
        for name, tau1, idf1 in (("first", 0.5, 0.61), ("second", 0.6, 0.42)):
            settings = {"association": {"tau1": tau1}, "split": "val-half"}
            with mlflow_run(workspace, "ssat-train", name, settings, system_metrics=False) as reporter:
                for epoch in (1, 2):
                    reporter.scalars({"loss": 4.0 / epoch}, epoch)
                reporter.scalars({"idf1": idf1, "WALK-01/idf1": idf1, "WALK-01/idsw": 3.0}, 0)
                picture = write_png(np.full((8, 8, 3), 99, np.uint8), workspace.root / "curves.png")
                reporter.file(picture, "pictures")
                (workspace.root / "WALK-01.mp4").write_bytes(b"video")
                reporter.file(workspace.root / "WALK-01.mp4", "videos")
            ids.append(reporter.run_id)
        client = MlflowClient()
        client.create_registered_model(MODEL_NAME)
        client.create_model_version(MODEL_NAME, f"runs:/{ids[0]}/embedder", ids[0], tags={"embedder_digest": "0" * 64})
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, "1")

        answer = compare_runs.fn(workspace, [ids[1][:10]], against="champion")
        assert [run.run_id for run in answer.runs] == ids, "the champion is what is measured against"
        assert [row["parameter"] for row in answer.parameters] == ["association.tau1"]
        assert answer.sequences[0].gain == pytest.approx(-19.0)
        assert len(compare_runs.fn(workspace, experiment="ssat-train").runs) == 2
        experiment = client.get_run(ids[0]).info.experiment_id

    report = workspace.absolute(answer.report)
    browser.get(report.as_uri())
    _shows(browser, "Comparison of runs", "association.tau1", "-19.0")
    links = [link.get_attribute("href") for link in browser.find_elements("css selector", "a")]
    assert len(links) == 2
    assert all(Path(link.removeprefix("file://")).read_bytes() == b"video" for link in links)

    with mlflow_page(workspace) as address:
        browser.get(f"{address}/#/experiments/{experiment}/runs")
        _shows(browser, "first", "second")
        browser.get(f"{address}/#/experiments/{experiment}/runs/{ids[0]}/artifacts")
        _shows(browser, "pictures", "environment.json")
        browser.get(f"{address}/#/models/{MODEL_NAME}")
        _shows(browser, MODEL_NAME, CHAMPION)
