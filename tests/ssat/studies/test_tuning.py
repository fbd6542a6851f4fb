from dataclasses import replace
from pathlib import Path

import pytest

from flows.cli.options import config_sections
from ssat.errors import InputError
from ssat.pipeline.settings import BenchmarkSettings, TrackSettings
from ssat.settings import read_config
from ssat.studies.settings import TuneSettings
from ssat.studies.tuning import CHOICES, RANGES, TUNED, TunedSequence, refuse_overlap, search, settings_file, start_of
from ssat.tracking import TrackerConfig

STRONG = TrackerConfig.strong()


def test_a_search_begins_with_the_preset_goes_on_after_an_interruption_and_names_what_matters(tmp_path: Path) -> None:
    tried: list[TrackerConfig] = []

    def objective(config: TrackerConfig) -> float:
        if len(tried) == 12:
            raise KeyboardInterrupt
        tried.append(config)
        return 1 - (config.tau1 - 0.8) ** 2

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "trials.sqlite3", STRONG, objective, 30, 0)
    assert tried[0] == STRONG
    assert len({config.tau1 for config in tried}) == 12
    ticks: list[int] = []
    found = search(
        tmp_path / "trials.sqlite3", STRONG, lambda config: 1 - (config.tau1 - 0.8) ** 2, 30, 0, lambda: ticks.append(1)
    )
    assert (len(found.values), len(ticks)) == (30, 30)
    assert list(found.values[:12]) == [1 - (config.tau1 - 0.8) ** 2 for config in tried]
    assert found.best_value == max(found.values)
    assert abs(found.best["tau1"] - 0.8) < abs(STRONG.tau1 - 0.8)
    assert max(found.importance, key=lambda name: found.importance[name]) == "tau1"
    assert sum(found.importance.values()) == pytest.approx(1)
    assert set(found.importance) == set(TUNED)


def test_trials_that_all_score_the_same_have_no_importance(tmp_path: Path) -> None:
    found = search(tmp_path / "trials.sqlite3", STRONG, lambda config: 0.5, 3, 0)
    assert (found.importance, found.best["tau2"]) == ({}, STRONG.tau2)


def test_nothing_that_needs_motion_is_tried_without_it(tmp_path: Path) -> None:
    still = TrackerConfig.strong(motion="none", motion_gate=False, hold_size=False)
    tried: list[TrackerConfig] = []
    search(tmp_path / "trials.sqlite3", still, lambda config: float(len(tried.append(config) or tried)), 6, 0)
    assert not any(config.motion_gate or config.hold_size for config in tried)


def test_the_preset_lies_in_the_search_space_and_other_settings_are_moved_into_it() -> None:
    assert start_of(STRONG) == {name: getattr(STRONG, name) for name in TUNED}
    far = start_of(TrackerConfig(tau1=9.0, alpha=0.01, gallery=8, confirm_hits=9))
    assert (far["tau1"], far["alpha"], far["gallery"], far["confirm_hits"]) == (1.0, 0.1, 10, 5)
    assert far["overlap_pass"] == RANGES["overlap_pass"][1]
    assert set(RANGES) | set(CHOICES) == set(TUNED) <= set(TrackerConfig.model_fields)


@pytest.mark.parametrize("model", [TrackSettings, BenchmarkSettings])
def test_track_and_benchmark_take_the_settings_file_under_any_preset(model, tmp_path: Path) -> None:
    tuned = TrackerConfig.strong(calibrate=False, confirm_hits=1, assignment="mutual", tau1=0.123456789, gallery=5)
    path = tmp_path / "tuned.toml"
    path.write_text(settings_file(tuned, 1.5, "two\nlines"))
    given = {"mot": "x"} if model is BenchmarkSettings else {}
    for preset in ("quick", "strong"):
        settings = model.build(preset, read_config(path, config_sections())[model.section], given)
        assert settings.association == tuned
        assert settings.interpolate_seconds == 1.5


def test_sequences_that_share_frames_are_refused(tmp_path: Path) -> None:
    first = TunedSequence("A", tmp_path / "A", range(1, 11), frozenset({"a", "b"}))
    second = TunedSequence("B", tmp_path / "B", range(1, 11), frozenset({"c"}))
    refuse_overlap([first], [second])
    refuse_overlap([first], [replace(first, frames=range(11, 21), images=frozenset({"d"}))])  # the other half
    for other in (
        replace(first, frames=range(10, 21), images=frozenset()),
        replace(second, images=frozenset({"b", "c"})),
    ):
        with pytest.raises(InputError, match=r"A: setting `train` and setting `report` share frames"):
            refuse_overlap([first], [second, other])
    dpm, mot16 = (
        replace(first, name=name, folder=tmp_path / name, images=frozenset()) for name in ("MOT17-09-DPM", "MOT16-09")
    )
    with pytest.raises(InputError, match="share frames"):
        refuse_overlap([mot16], [dpm])
    refuse_overlap([mot16], [replace(dpm, name="MOT17-10-DPM")])


def test_a_split_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="no labels"):
        TuneSettings(train="a", report="b", report_split="test")
