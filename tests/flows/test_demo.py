"""The demo's flow on a world as small as its settings allow: real yt-dlp, Ray, Prefect and MLflow."""

import json
from pathlib import Path

import av
import pytest

from flows.stage_flow import run_stage
from flows.stages.demo import STAGE as DEMO
from ssat.demo.settings import DemoSettings
from ssat.workspace import Workspace
from tasks.demo import DemoResult

pytestmark = pytest.mark.integration

_SMALL = DemoSettings(clips=24, clip_seconds=3.0, frames=24, figures=5, epochs=2, held_out_clips=4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def results(root: Path, prefect_server: str, ray_cluster: None) -> tuple[DemoResult, DemoResult]:
    """The flow's result, and that of running it again."""
    from tasks.services import services

    with services(Workspace.open(root), ray=True, mlflow=True):
        return run_stage(DEMO, str(root), _SMALL), run_stage(DEMO, str(root), _SMALL)


def test_every_stage_ran_on_all_clips(results: tuple[DemoResult, DemoResult], root: Path) -> None:
    from ssat.clips.roster import load_roster
    from ssat.frames.store import FrameStore

    first, _ = results
    assert load_roster(Workspace.open(root)).num_rows == 24
    assert FrameStore.open(root / "frames").n_clips == 24
    assert first.train.classes == 20
    assert set(first.minutes) == {"render", "collect", "decode", "train", "track", "report"}


def test_files_say_what_the_result_says(results: tuple[DemoResult, DemoResult], root: Path) -> None:
    first, _ = results
    scores = json.loads((root / "demo.json").read_text())
    assert scores == {method: vars(first.scores[method]) for method in ("ssat", "box", "untrained")}
    for values in scores.values():
        assert set(values) == {"mota", "idf1", "idsw"}
        assert 0 < values["idf1"] <= 1
    page = (root / "report.html").read_text()
    for part in ("SSAT, untrained network", "box term alone", "data:image/png;base64", "demo.mp4"):
        assert part in page
    with av.open(str(root / "demo.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2 * 24


def test_run_again_it_trains_and_collects_nothing(results: tuple[DemoResult, DemoResult]) -> None:
    first, second = results
    assert second.train.reused
    assert second.scores["ssat"] == first.scores["ssat"]
    assert second.minutes["train"] <= first.minutes["train"]
