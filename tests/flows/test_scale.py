"""The climb on a small rendered world: rung by rung, stopped by a budget, resumed, with a champion in MLflow."""

import json
from pathlib import Path

import pytest

from flows.stages.scale import STAGE as SCALE
from flows.stages.scale import ScaleBundle
from ssat.clips.settings import CollectSettings
from ssat.demo.settings import DemoSettings
from ssat.demo.world import write_clips, write_sequences
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.ladder import Ladder
from ssat.scale.settings import ScaleSettings
from ssat.workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

_WORLD = DemoSettings(clips=24, clip_seconds=3.0, frames=20, figures=3)
_RENDERED = range(9)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_clips(folder / "clips", _WORLD, only=_RENDERED)
    (folder / "clips" / "clips.csv").unlink()
    write_sequences(folder / "mot", _WORLD)
    return folder


@pytest.fixture(scope="module")
def climb(world, tmp_path_factory, prefect_server, ray_cluster):
    """Runs the flow in one workspace: settings of the climb → its result."""
    from tasks.services import services

    workspace = Workspace.open(tmp_path_factory.mktemp("climb"))

    def run(**settings):
        from flows.stage_flow import run_stage

        train = TrainSettings.build(
            None,
            {
                "architecture": "resnet18",
                "crop": 32,
                "short_side": 40,
                "frames_per_clip": 4,
                "batch_size": 8,
                "epochs": 1,
                "held_out_clips": 2,
                "workers": 1,
            },
        )
        with services(workspace, ray=True, mlflow=True):
            bundle = ScaleBundle(
                ScaleSettings.build(None, {"ladder": [3, 50, 60], **settings}),
                CollectSettings.build(None, {"source": str(world / "clips"), "clip_seconds": 3, "min_seconds": 1}),
                DecodeSettings.build(None, {"frame_stride": 10, "short_side": 64}),
                train,
                BenchmarkSettings.build(None, {"mot": str(world / "mot"), "split": "train", "video": False}),
            )
            return run_stage(SCALE, str(workspace.root), bundle)

    return workspace, run


def test_a_climb_stops_at_its_budget_goes_on_and_ends_with_the_list(climb, monkeypatch):
    from mlflow import MlflowClient

    from flows import scale as scaling

    workspace, run = climb
    told = []
    monkeypatch.setattr(scaling, "notify", lambda event, text, **facts: told.append(event))

    stopped = run(gib=0.0001)
    assert stopped.stopped
    assert stopped.rungs == ()
    assert stopped.next == 3

    first = run()
    assert [rung.clips for rung in first.rungs] == [3]
    assert first.champion.clips == 3, "the first has nothing to beat"
    assert first.next == 50
    assert told[-1] == "new-champion"

    # From the first one's weights, with all the clips that the list has; then there is no other rung to take.
    more = run(rungs=2)
    assert [rung.clips for rung in more.rungs] == [7]
    assert "no more" in more.stopped
    trained = workspace.absolute(more.rungs[0].embedder).parent
    warm = json.loads((trained / "result.json").read_text())["settings"]["warm_start"]
    assert warm == str(workspace.absolute(first.rungs[0].embedder).parent)
    ladder = Ladder.load(workspace)
    assert [rung.clips for rung in ladder.rungs] == [3, 7]

    client = MlflowClient(f"sqlite:///{workspace.mlflow / 'mlflow.db'}")
    champion = client.get_model_version_by_alias("ssat-embedder", "champion")
    assert str(champion.version) == ladder.champion.model_version
    assert set(told) <= {"stopped", "new-champion", "not-promoted"}
    assert told.count("new-champion") == sum(rung.promoted for rung in ladder.rungs)

    end = run()
    assert "no more" in end.stopped
    assert end.rungs == ()


def test_a_tracker_without_features_has_nothing_to_climb_for(world, workspace):
    benchmark = BenchmarkSettings.build(None, {"mot": str(world / "mot"), "split": "train", "tracker": "box"})
    bundle = ScaleBundle(ScaleSettings(), CollectSettings(), DecodeSettings(), TrainSettings(), benchmark)
    with pytest.raises(InputError, match=r"setting benchmark\.tracker: box uses no features; expected ssat"):
        SCALE.check(workspace, bundle)
