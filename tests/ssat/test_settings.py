from typing import Self

import pytest
from pydantic import BaseModel, Field, SecretStr, model_validator

from ssat.errors import InputError
from ssat.settings import StageSettings, line_of, read_config


class _Inner(BaseModel, extra="forbid"):
    margin: float = Field(0.35, ge=0, lt=1)


class _Settings(StageSettings):
    section = "train"
    presets = {"quick": {"epochs": 4, "inner": {"margin": 0.2}}}  # noqa: RUF012
    data: str
    epochs: int = Field(16, ge=1)
    least: int = 0
    inner: _Inner = _Inner()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.least > self.epochs:
            raise ValueError(f"least {self.least} is above epochs {self.epochs}")
        return self


def test_later_layers_win_and_nested_models_merge():
    built = _Settings.build("quick", {"data": "a", "epochs": 5}, {"epochs": 6})
    assert (built.data, built.epochs, built.inner.margin) == ("a", 6, 0.2)
    assert _Settings.build(None, {"data": "a"}).epochs == 16
    assert _Settings.build("paper", {"data": "a"}).epochs == 16  # a preset in which this stage does not differ


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "setting train.data: missing; give setting `data`, or data below [train] in the file of setting `config`"),
        ({"data": "a", "epochs": 0}, "setting train.epochs: Input should be greater than or equal to 1 (given: 0)"),
        ({"data": "a", "epoch": 3}, "setting train.epoch: there is no such setting; did you mean epochs?"),
        ({"data": "a", "zzz": 3}, "setting train.zzz: there is no such setting; known: data, epochs, inner, least"),
        (
            {"data": "a", "inner": {"margn": 1}},
            "setting train.inner.margn: there is no such setting; did you mean margin?",
        ),
        ({"data": "a", "inner": {"margin": 2}}, "setting train.inner.margin: Input should be less than 1 (given: 2)"),
        ({"data": "a", "least": 99}, "setting train: least 99 is above epochs 16"),
    ],
)
def test_what_does_not_fit_is_named(values, said):
    with pytest.raises(InputError) as caught:
        _Settings.build(None, values)
    assert str(caught.value) == said


def test_a_secret_of_the_wrong_kind_is_not_shown():
    class WithSecrets(StageSettings):
        section = "collect"
        proxy: SecretStr | None = None
        token: SecretStr = SecretStr("")

    for name in ("proxy", "token"):
        with pytest.raises(InputError, match=f"setting collect.{name}: Input should be a valid string") as caught:
            WithSecrets.build(None, {name: ["http://user:HUSH@host:1"]})
        assert "HUSH" not in str(caught.value)


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(InputError) as caught:
        _Settings.build(None, {"data": "a", "epochs": 0, "inner": {"margin": 2}})
    assert len(str(caught.value).splitlines()) == 2


def test_settings_cannot_be_changed():
    built = _Settings.build(None, {"data": "a"})
    with pytest.raises(ValueError, match="frozen"):
        built.epochs = 3


def test_the_line_of_a_field_is_found_in_its_own_section(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[collect]\nepochs = 1\n\n[ train ]\n# epochs = 2\n"epochs" = 3\n[train.inner]\nmargin = 1\n')
    assert line_of(path, "train", "epochs") == 6
    assert line_of(path, "collect", "epochs") == 2
    assert line_of(path, "train", "margin") == 8
    assert line_of(path, "train", "absent") is None


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a readable TOML file"):
        read_config(path, {"train"})
    with pytest.raises(InputError, match="not a readable TOML file"):
        read_config(tmp_path, {"train"})
