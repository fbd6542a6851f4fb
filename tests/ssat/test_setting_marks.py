"""What the marks on settings leave out of an identity."""

from ssat.embedding.settings import TrainSettings
from ssat.pipeline.settings import BenchmarkSettings
from ssat.setting_marks import ByContent, LocalPath, Replicate, Runtime, marked, without


def test_settings_inside_a_marked_one_are_marked() -> None:
    assert marked(BenchmarkSettings, ByContent) == {
        "mot",
        "sequences",
        "embedder",
        "reid",
        "reid.size",
        "reid.mean",
        "reid.std",
        "reid.channels",
        "refinement.checkpoint",
    }
    assert marked(BenchmarkSettings, Runtime) == {"side_by_side"}
    assert marked(BenchmarkSettings, LocalPath) == {"mot", "embedder", "refinement.checkpoint"}


def test_settings_of_components_are_marked_by_their_flat_names() -> None:
    assert marked(TrainSettings, LocalPath) == {"warm_start", "evaluate_mot", "probe"}
    assert marked(TrainSettings, Replicate) == {"seed"}


def test_what_is_left_out_and_what_stays() -> None:
    settings = BenchmarkSettings(mot="/data", side_by_side="never", refinement={"checkpoint": "c.pth", "batch": 2})
    left = without(settings, ByContent, Runtime)
    assert {"mot", "reid", "side_by_side"}.isdisjoint(left)
    assert left["refinement"] == {
        "input": "letterbox",
        "threshold": 0.4,
        "prior_threshold": 0.5,
        "births": "public",
        "precision": "auto",
        "batch": 2,
    }
    assert left["association"] == settings.association.model_dump(mode="json")
