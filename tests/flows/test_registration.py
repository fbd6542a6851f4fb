"""prefect.yaml as it is read: complete, checked by the stages' models, every mistake named."""

import pytest
import yaml

from flows.deployment_file import prefect_file
from flows.registration import build_deployments, read_entries
from ssat.errors import InputError


def _build(entries, sections, tmp_path):
    return build_deployments(prefect_file(None), entries, str(tmp_path), "quick", sections, work_pool=True)


_SECTIONS = {"collect": {"source": "list.csv"}, "benchmark": {"mot": "MOT17/train"}, "train": {"epochs": 3}}


def test_every_flow_has_a_deployment_with_a_schedule_in_a_time_zone_and_never_overlaps(tmp_path):
    entries = read_entries(prefect_file(None))
    assert {"collect", "decode", "train", "benchmark", "study", "scale", "verify"} <= {
        entry.flow_name for entry in entries
    }
    for deployment in _build(entries, _SECTIONS, tmp_path):
        assert deployment.schedules, deployment.flow_name
        assert all(schedule.schedule.timezone for schedule in deployment.schedules)
        assert deployment.concurrency_limit == 1
        assert deployment.concurrency_options.collision_strategy.value == "CANCEL_NEW"
        assert "ssat" in deployment.tags
        assert deployment.work_pool_name == "ssat"
        assert deployment.enforce_parameter_schema


def test_prefects_own_reader_takes_the_file():
    from prefect.cli.deploy._models import PrefectYamlModel

    content = yaml.safe_load(prefect_file(None).read_text())
    model = PrefectYamlModel.model_validate(content)
    assert len(model.deployments) == len(content["deployments"])


def test_parameters_are_the_sections_and_the_preset(tmp_path):
    [scale] = _build(read_entries(prefect_file(None), ["scale"]), _SECTIONS, tmp_path)
    assert scale.parameters["train"]["epochs"] == 3
    assert scale.parameters["train"]["architecture"] == "resnet18"  # the preset's
    assert scale.parameters["collect"]["source"] == "list.csv"
    assert "proxy" not in scale.parameters["collect"]
    assert scale.parameters["workspace"] == str(tmp_path)


def test_local_files_become_absolute_wherever_a_setting_names_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("list.csv", "c.pth"):
        (tmp_path / name).write_text("")
    benchmark = {"mot": "nowhere", "refine": "frozen", "refinement": {"checkpoint": "c.pth"}}
    [scale] = _build(read_entries(prefect_file(None), ["scale"]), {**_SECTIONS, "benchmark": benchmark}, tmp_path)
    assert scale.parameters["collect"]["source"] == str(tmp_path / "list.csv")
    assert scale.parameters["benchmark"]["refinement"]["checkpoint"] == str(tmp_path / "c.pth")
    assert scale.parameters["benchmark"]["mot"] == "nowhere"  # no such file here: perhaps one of the worker


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, r"deployment scale: setting collect.source: missing"),
        ({"collect": {"source": "x"}}, r"deployment scale: setting benchmark.mot: missing"),
        ({**_SECTIONS, "train": {"epoch": 3}}, r"did you mean epochs"),
        ({**_SECTIONS, "collect": {"source": "x", "proxy": "http://u:SECRETPART@h"}}, r"set SSAT_PROXY where"),
    ],
)
def test_what_a_schedule_could_not_run_is_refused(sections, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        _build(read_entries(prefect_file(None), ["scale"]), sections, tmp_path)
    assert "SECRETPART" not in str(caught.value)


def test_without_an_active_schedule_the_page_may_ask_for_what_is_missing(tmp_path):
    [benchmark] = _build(read_entries(prefect_file(None), ["benchmark"]), {"benchmark": {"video": False}}, tmp_path)
    assert benchmark.parameters["settings"] == {"video": False}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deployments: [", "not a readable YAML"),
        ("name: x", "expected a list of deployments"),
        ("deployments:\n  - {name: x}\n", "entrypoint"),
    ],
)
def test_a_file_that_is_none_is_named(text, message, tmp_path):
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_entries(path)
    assert str(path) in str(caught.value)


def test_a_flow_without_a_deployment_is_named():
    with pytest.raises(InputError, match="no deployment of a flow colect"):
        read_entries(prefect_file(None), ["colect"])


def test_an_entry_point_that_is_no_flow_is_refused(tmp_path):
    content = yaml.safe_load(prefect_file(None).read_text())
    content["deployments"] = content["deployments"][:1]
    content["deployments"][0]["entrypoint"] = "os.system"
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"entrypoint os\.system"):
        build_deployments(path, read_entries(path), str(tmp_path), "quick", {}, work_pool=True)
