import datetime
import importlib.metadata
import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli.doctor import command
from tasks import doctor

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture(autouse=True)
def no_named_services(monkeypatch):
    for name in ("PREFECT_API_URL", "RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_this_machine_is_fit_and_every_line_that_is_not_well_says_what_to_do(tmp_path):
    result = CliRunner().invoke(command, ["--workspace", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["fit"] is True
    names = [check["name"] for check in answer["checks"]]
    assert {"python", "versions", "workspace", "disk", "gpu", "codecs", "yt-dlp", "prefect", "ray", "mlflow"} <= set(
        names
    )
    assert all(check["advice"] for check in answer["checks"] if check["state"] != "ok")
    assert all(check["found"] for check in answer["checks"])


def test_a_workspace_that_cannot_be_written_is_not_fit(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(command, ["--workspace", str(tmp_path / "file" / "w"), "--json"])
    assert result.exit_code == 2
    answer = json.loads(result.stdout.splitlines()[-1])
    assert [check["name"] for check in answer["checks"] if check["state"] == "bad"] == ["workspace"]


@pytest.mark.usefixtures("object_store")
def test_a_workspace_in_an_object_store_answers_or_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("SSAT_SCRATCH", str(tmp_path))
    checks = {check.name: check for check in doctor.examine("s3://bucket/x")}
    assert checks["workspace"].state == "note"
    assert "s3://bucket/x answers" in checks["workspace"].found
    assert str(tmp_path) in checks["refinement"].found
    assert doctor.workspace_access("s3://nobucket/x")[1].state == "bad"


@pytest.mark.parametrize(
    ("variable", "value", "check"),
    [
        ("PREFECT_API_URL", "http://me:s3cret@127.0.0.1:9/api", doctor.prefect),
        ("RAY_ADDRESS", "127.0.0.1:9", doctor.ray),
        ("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9", doctor.mlflow),
    ],
)
def test_a_named_server_that_does_not_answer_is_bad(monkeypatch, variable, value, check):
    assert check().state == "ok"
    monkeypatch.setenv(variable, value)
    found = check()  # once: it gives the server two seconds
    assert found.state == "bad"
    assert variable in found.found
    assert "s3cret" not in found.found
    assert f"unset {variable}" in found.advice


def test_a_full_disk_is_bad_and_a_small_one_noted(monkeypatch, tmp_path):
    for free, state in ((100, "ok"), (5, "note"), (0.2, "bad")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: _Usage(0, 0, free * 1024**3))
        assert doctor.free_disk(tmp_path / "not" / "there" / "yet").state == state


def test_a_dependency_in_another_version_is_bad(monkeypatch):
    assert doctor.requirements().state == "ok"
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.200.0" if name == "fastapi" else real(name))
    check = doctor.requirements()
    assert check.state == "bad"
    assert "fastapi 0.200.0 is not <0.151" in check.found
    assert "make setup" in check.advice


def test_an_old_downloader_is_noted():
    from yt_dlp.version import __version__ as version

    released = datetime.date(*(int(part) for part in version.split(".")[:3]))
    assert doctor.yt_dlp(released + datetime.timedelta(days=3)).state == "ok"
    old = doctor.yt_dlp(released + datetime.timedelta(days=100))
    assert old.state == "note"
    assert "100 days old" in old.found


def test_codecs_are_asked_of_ffmpeg_itself(monkeypatch):
    assert doctor.codecs().state == "ok"
    monkeypatch.setitem(doctor._DECODERS, "imaginary", "no_such_codec")
    check = doctor.codecs()
    assert check.state == "note"
    assert "imaginary" in check.found


def test_the_refinements_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.doctor import refinement

    monkeypatch.delenv("SSAT_CENTERTRACK", raising=False)
    check = refinement(tmp_path)
    assert check.state == "note"
    assert "github.com/xingyizhou/CenterTrack" in check.advice
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mot17_half.pth").write_bytes(b"weights")
    check = refinement(tmp_path)
    assert (check.state, check.found) == ("ok", "mot17_half.pth, sha256 9a129038d9a00aed")
