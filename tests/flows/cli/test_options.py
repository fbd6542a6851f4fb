import json
from typing import Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field

from flows.cli.options import SectionedCommand, build_settings, pipeline_options, print_json, settings_options
from ssat.clips.settings import CollectSettings
from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError
from ssat.settings import StageSettings


class _Tracker(BaseModel):
    alpha: float = Field(2.0, description="Weight")


class _One(StageSettings):
    section = "train"
    presets = {"quick": {"size": 4, "tracker": {"alpha": 1.0}}, "paper": {}}  # noqa: RUF012
    size: int = Field(8, ge=1, description="Size")
    flip: bool = Field(False, description="Mirror")
    kind: Literal["a", "b"] = Field("a", description="Kind")
    names: tuple[str, ...] = Field((), description="Names")
    span: tuple[float, float] | None = Field(None, description="Span")
    tracker: _Tracker = _Tracker()
    seed: int = Field(0, description="Seed")


class _Two(StageSettings):
    section = "decode"
    size: int = Field(3, description="Other size")
    seed: int = Field(0, description="Seed")


def _given(model, *arguments):
    seen = {}

    @click.command()
    @settings_options(model)
    def command(**given):
        seen.update(given)

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return seen[f"{model.section}_given"]


def test_only_what_was_given_is_passed_on():
    assert _given(_One) == {}
    line = "--size 5 --no-flip --names x --names y --span 1 2 --tracker-alpha 0.5"
    given = _given(_One, *line.split())
    assert given == {"size": 5, "flip": False, "names": ["x", "y"], "span": [1.0, 2.0], "tracker": {"alpha": 0.5}}
    settings = build_settings(_One, config=None, preset="quick", given=given)
    assert settings.names == ("x", "y")
    assert settings.span == (1.0, 2.0)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[train]\nsize = 5\n[train.tracker]\nalpha = 3\n")
    for given, size in (({}, 5), ({"size": 6}, 6)):
        settings = build_settings(_One, config=config, preset="quick", given=given)
        assert settings.size == size
        assert settings.tracker.alpha == 3.0
    assert build_settings(_One, config=None, preset="quick", given={}).tracker.alpha == 1.0
    assert build_settings(_One, config=None, preset="paper", given={}).tracker.alpha == 2.0


def test_a_wrong_option_does_not_blame_the_file(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[train]\nsize = 5\n")
    with pytest.raises(InputError) as caught:
        build_settings(_One, config=config, preset=None, given={"size": 0})
    assert str(caught.value).startswith("setting train.size:")


def test_help_shows_the_default_and_what_presets_say():
    @click.command(cls=SectionedCommand)
    @pipeline_options([_One, _Two])
    def command(**_): ...

    shown = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=200).output.split())
    assert "Size [default: 8; quick: 4]" in shown
    assert "Weight [default: 2.0; quick: 1.0]" in shown
    assert "Options of train: " in shown
    assert "Options of decode: " in shown


def test_stages_on_one_command_share_the_seed_and_prefix_other_names_in_common():
    seen = {}

    @click.command()
    @pipeline_options([_One, _Two])
    def command(**given):
        seen.update(given)

    arguments = ["--seed", "7", "--train-size", "5", "--decode-size", "6", "--flip"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert seen["train_given"] == {"size": 5, "flip": True, "seed": 7}
    assert seen["decode_given"] == {"size": 6, "seed": 7}
    assert CliRunner().invoke(command, ["--size", "5"]).exit_code == 2


def test_json_is_one_line_and_numbers_that_do_not_exist_are_null(capsys):
    import numpy as np

    print_json({"a": float("nan"), "b": np.float32(0.5), "c": [float("inf"), (1, "x")], "d": {"e": np.int64(3)}})
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert json.loads(output) == {"a": None, "b": 0.5, "c": [None, [1, "x"]], "d": {"e": 3}}


class _Many(StageSettings):
    section = "decode"
    sizes: tuple[int, ...] = Field((), description="Sizes")
    rates: tuple[float, ...] = Field((0.5,), description="Rates")


def test_lists_of_numbers_are_separated_by_commas():
    assert _given(_Many, "--sizes", "160,800", "--sizes", "1600", "--rates", "0.1") == {
        "sizes": [160, 800, 1600],
        "rates": [0.1],
    }
    assert _given(_Many) == {}

    @click.command()
    @settings_options(_Many)
    def command(**given):
        pass

    result = CliRunner().invoke(command, ["--sizes", "160,x"])
    assert result.exit_code == 2
    assert "'160,x': expected integers separated by commas" in result.output


def test_a_former_name_of_an_option_is_taken_and_not_shown() -> None:
    given: dict[str, object] = {}

    @click.command()
    @pipeline_options([CollectSettings, TrainSettings])
    def command(collect_given: dict[str, object], train_given: dict[str, object]) -> None:
        given.update(collect_given)

    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--requests-per-hour" in shown
    assert "--per-hour" not in shown
    CliRunner().invoke(command, ["--per-hour", "7", "--max-disk-gib", "2"], catch_exceptions=False)
    settings = CollectSettings.build("quick", {"shard_size": 9, "per_hour": 3}, given)
    assert (settings.requests_per_hour, settings.max_disk_gib, settings.candidates_per_shard) == (7, 2.0, 9)
    with pytest.raises(InputError, match=r"collect\.per_hour: is the former name of requests_per_hour, which is given"):
        CollectSettings.build(None, {"per_hour": 3, "requests_per_hour": 4})
    assert CollectSettings(disk_gib=2).model_dump()["max_disk_gib"] == 2
