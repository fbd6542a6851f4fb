"""A stage that is added is found everywhere: help, configuration file, deployments, settings page, flow."""

import inspect
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field
from rich.console import Console

from flows.cli import run
from flows.deployment_file import prefect_file
from flows.registration import build_deployments, read_entries
from flows.settings_page import settings_page
from flows.stage import STAGES, Stage, stage_named
from flows.stage_flow import stage_flow
from ssat.errors import InputError
from ssat.settings import StageSettings
from ssat.workspace import Workspace


class CountSettings(StageSettings):
    """What is counted."""

    section: ClassVar[str] = "count"

    suffix: str = Field(default=".txt", description="Files that end so are counted")


class Count(Stage[CountSettings, int]):
    """Count the files of a workspace.

    A stage that only this test knows.
    """

    name = "count"
    settings = CountSettings
    examples = ("ssat count --suffix .txt",)

    def check(self, workspace: Workspace, settings: CountSettings) -> None:
        if not settings.suffix.startswith("."):
            raise InputError(f"setting count.suffix: {settings.suffix}: no suffix; expected a dot and letters")

    def finished(self, workspace: Workspace, settings: CountSettings) -> int | None:
        kept = workspace.root / "count"
        return int(kept.read_text()) if kept.is_file() else None

    def run(self, workspace: Workspace, settings: CountSettings) -> int:
        return len(list(workspace.root.glob(f"*{settings.suffix}")))

    def show(self, result: int, workspace: Workspace, console: Console) -> None:
        console.print(f"{result} files")

    def message(self, result: int) -> str:
        return f"{result} files"

    def failure(self, result: int) -> str:
        return "" if result else "no files"


STAGE = Count()


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, "count", __name__)


def test_a_stage_is_a_verb_with_its_options(count: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "Count the files of a workspace." in capsys.readouterr().out
    assert run(["count", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "A stage that only this test knows." in shown
    assert "--suffix TEXT" in shown
    assert "ssat count --suffix .txt" in shown


def test_a_stage_has_a_section_on_the_settings_page(count: None) -> None:
    page = settings_page()
    assert "## [count]" in page
    assert "| `suffix` | text | .txt | Files that end so are counted |" in page


def test_a_stage_has_a_deployment(count: None, tmp_path: Path) -> None:
    entries = read_entries(prefect_file(None), ["count"])
    sections = {"count": {"suffix": ".csv"}}
    [made] = build_deployments(prefect_file(None), entries, str(tmp_path), "quick", sections, work_pool=True)
    assert made.entrypoint == "flows.deployments.count"
    assert made.parameters == {"workspace": str(tmp_path), "settings": {"suffix": ".csv"}}
    assert made.schedules == []
    assert made._parameter_openapi_schema.definitions["CountSettings"]["properties"]["suffix"]["default"] == ".txt"


def test_every_stage_of_the_project_has_a_deployment_and_a_page() -> None:
    page = settings_page()
    for name in STAGES:
        stage = stage_named(name)
        assert stage.name == name
        assert stage.summary.endswith(".")
        assert [entry.flow_name for entry in read_entries(prefect_file(None), [name])] == [name]
        for model in stage.models.values():
            assert page.count(f"## [{model.section}]\n") == 1
        # What the flow takes is what `run` takes, whether one model or several.
        parameters = {parameter: object() for parameter in stage.models}
        assert stage.parameters(stage.bundled(parameters)) == parameters


def test_a_stage_that_runs_others_takes_their_settings_as_parameters() -> None:
    named = {
        "study_clips": ("settings", "train", "benchmark"),
        "scale": tuple(stage_named("scale").models),
        "run": ("settings", "collect", "decode", "train", "benchmark"),
    }
    for name, parameters in named.items():
        assert tuple(inspect.signature(stage_flow(name).fn).parameters) == ("workspace", *parameters)


def test_settings_that_a_stage_leaves_out_are_neither_asked_for_nor_checked(tmp_path: Path) -> None:
    entries = read_entries(prefect_file(None), ["run"])
    sections = {"collect": {"source": "urls.txt"}, "run": {"benchmark": False}, "benchmark": {"sequences": ["A"]}}
    [made] = build_deployments(prefect_file(None), entries, str(tmp_path), "quick", sections, work_pool=True)
    assert made.parameters["benchmark"] is None
    assert made.parameters["settings"] == {"benchmark": False}
    assert made.parameters["collect"]["source"] == "urls.txt"
    whole = {**sections, "run": {}}
    [made] = build_deployments(prefect_file(None), entries, str(tmp_path), "quick", whole, work_pool=True)
    assert made.parameters["benchmark"] == {"sequences": ["A"]}  # incomplete: the page asks for the rest


def test_files_of_earlier_versions_name_the_study_of_clips_alone(tmp_path: Path) -> None:
    [entry] = read_entries(prefect_file(None), ["study"])
    [made] = build_deployments(prefect_file(None), [entry], str(tmp_path), "quick", {}, work_pool=True)
    assert (made.entrypoint, made.flow_name) == ("flows.deployments.study", "study")
    assert set(made.parameters) == {"workspace", "settings", "train", "benchmark"}


def test_what_is_refused_and_what_was_done_before_needs_no_service(
    count: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # would be an error as soon as it is asked
    assert run(["count", "--workspace", str(tmp_path), "--suffix", "txt"]) == 2
    assert "setting count.suffix: txt: no suffix" in capsys.readouterr().err
    (tmp_path / "count").write_text("3")
    assert run(["count", "--workspace", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "3\n"
    assert "3 files" in captured.err


@pytest.mark.integration
@pytest.mark.usefixtures("prefect_server")
def test_a_stage_runs_as_a_flow_and_its_failure_is_the_exit_code(
    count: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("")
    assert run(["count", "--workspace", str(tmp_path)]) == 0
    assert "1 files" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(["count", "--workspace", str(tmp_path), "--suffix", ".csv"])
    assert ended.value.code == 1
