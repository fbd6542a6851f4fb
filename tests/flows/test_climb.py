"""The order of a climb and its endings, with stages that answer at once."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from flows import scale as scaling
from flows.stages.scale import ScaleBundle
from ssat.clips.collected import CollectResult
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.frames.decoded import DecodedStore
from ssat.frames.settings import DecodeSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.scale.ladder import Ladder
from ssat.scale.settings import ScaleSettings
from tasks.halt import halted, halting
from tasks.trained import TrainedEmbedder
from tests.ssat.pipeline.results import BENCHMARK, scored

COLLECTED = CollectResult("videos", 1, 1, 1, 1, 1, 0, {"ok": 1}, 0, (), 0, (), (), "", 1.0, "r", "roster.parquet", 0)


class Stages:
    """Answers of the stages; what was asked of them."""

    def __init__(self, workspace) -> None:
        self.workspace = workspace
        self.available, self.undecodable, self.stopped, self.worse = 10**6, 0, "", False
        self.asked, self.told = [], []

    def collect(self, workspace, settings):
        self.asked.append(("collect", settings.clips))
        return replace(COLLECTED, clips=min(settings.clips, self.available), stopped=self.stopped)

    def decode(self, workspace, settings):
        self.asked.append(("decode", None))
        return DecodedStore(10, 100, 1, 1000, 1, 100, 1.0, 100.0, self.undecodable, (), "0")

    def train(self, workspace, settings):
        self.asked.append(("train", settings.data.clips, settings.warm_start))
        folder = self.workspace.training / str(settings.data.clips)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "embedder.safetensors").touch()
        clips = settings.data.clips
        embedder = f"training/{clips}/embedder.safetensors"
        return TrainedEmbedder(embedder, "0" * 32, str(clips), {}, "0", clips, 1, {}, {}, [])

    def benchmark(self, workspace, settings):
        self.asked.append(("benchmark", settings.embedder.split("/")[-2]))
        return replace(BENCHMARK, overall=scored(idf1=0.5))

    def missing(self, workspace, rung, held_out):
        missing, self.undecodable = self.undecodable, 0
        return missing


@pytest.fixture
def stages(workspace, monkeypatch) -> Stages:
    stages = Stages(workspace)
    monkeypatch.setattr(
        scaling, "run_stage", lambda stage, workspace, settings: getattr(stages, stage.name)(workspace, settings)
    )
    monkeypatch.setattr(
        scaling, "promote", lambda *args, **kwargs: SimpleNamespace(promoted=not stages.worse, reason="a reason")
    )
    monkeypatch.setattr(scaling, "missing_held_out", stages.missing)
    monkeypatch.setattr(scaling, "images_of", lambda workspace, train: 100 * train.data.clips)
    monkeypatch.setattr(scaling, "stored_bytes", lambda workspace: 10**6)
    monkeypatch.setattr(scaling, "notify", lambda event, text, **facts: stages.told.append(event))
    return stages


def climb(stages, **settings):
    bundle = ScaleBundle(
        ScaleSettings.build(None, {"ladder": [10, 20, 40], **settings}),
        CollectSettings(),
        DecodeSettings(),
        TrainSettings.build(None, {"held_out_clips": 4}),
        BenchmarkSettings(mot="mot"),
    )
    one = scaling.Climb(stages.workspace, bundle)
    with halting(one.budget.spent, one.budget.note_outcomes):
        one.run()
    return one.result()


def test_each_run_takes_one_rung_from_the_one_before_and_compares_with_the_champion(stages):
    assert climb(stages).next == 20
    assert stages.asked == [("collect", 14), ("decode", None), ("train", 10, None), ("benchmark", "10")]
    stages.asked.clear()
    assert climb(stages).champion.clips == 20
    before = str(stages.workspace.training / "10")
    assert stages.asked == [
        ("collect", 24),
        ("decode", None),
        ("train", 20, before),
        ("benchmark", "10"),
        ("benchmark", "20"),
    ]
    assert stages.told == ["new-champion", "new-champion"]


def test_a_rung_that_tracks_worse_is_reported_and_not_promoted(stages):
    climb(stages)
    stages.worse = True
    result = climb(stages)
    assert result.champion.clips == 10
    assert "20 clips: IDF1 50.0, not promoted (a reason)" in result.summary
    assert stages.told[-1] == "not-promoted"
    assert result.next == 40


def test_the_top_of_the_ladder_is_the_end(stages):
    assert len(climb(stages, rungs=9).rungs) == 3
    assert "at its top" in climb(stages).stopped


def test_what_stops_collecting_stops_the_run_and_the_next_goes_on(stages):
    stages.stopped = "too many requests"
    result = climb(stages)
    assert (result.stopped, result.rungs, result.next) == ("too many requests", (), 10)
    assert Ladder.load(stages.workspace).rungs == ()
    stages.stopped = ""
    assert climb(stages).next == 20


def test_clips_that_cannot_be_decoded_are_made_up_for_and_count_as_failures(stages):
    stages.undecodable = 2
    assert climb(stages).rungs[0].clips == 10
    assert [ask for ask in stages.asked if ask[0] == "collect"] == [("collect", 14), ("collect", 16)]
    stages.undecodable = 2
    result = climb(stages, failures=2)
    assert "2 clips failed" in result.stopped
    assert stages.told[-1] == "stopped"


def test_all_that_a_short_list_has_is_a_last_rung(stages):
    climb(stages)
    stages.available = 19
    assert [rung.clips for rung in climb(stages).rungs] == [15]
    assert "no more" in climb(stages).stopped


def test_a_budget_inside_says_stop_to_the_work_and_ends_with_it():
    reason = ""
    with halting(lambda: reason):
        assert halted() == ""
        reason = "enough"
        assert halted() == "enough"
    assert halted() == ""
