"""The command as a person meets it: help, exit codes, what goes to which stream."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from flows.cli import cli, run, verbs
from flows.cli.options import config_sections
from ssat.errors import InputError

SSAT = [sys.executable, "-c", "from flows.cli import main; main()"]


def _call(*arguments: str, timeout: int = 120, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, **variables}
    return subprocess.run([*SSAT, *arguments], capture_output=True, text=True, timeout=timeout, env=environment)


def _verb_raising(error: BaseException) -> click.Command:
    @click.command()
    def command():
        raise error

    return command


@pytest.fixture
def failing_verb(monkeypatch):
    """Puts a verb in place that raises what it is given."""

    def install(error: BaseException):
        monkeypatch.setattr(type(cli), "get_command", lambda self, ctx, name: _verb_raising(error))

    return install


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_that_is_listed_exists_and_shows_an_example(verb):
    command = cli.get_command(click.Context(cli), verb)
    kinds = [[kind] for kind in command.commands] if isinstance(command, click.Group) else [[]]
    for kind in kinds:
        result = CliRunner().invoke(command, [*kind, "--help"])
        assert result.exit_code == 0, result.output
        assert "Example" in result.output
        assert " ".join(["ssat", verb, *kind]) in result.output
        assert "--workspace" in result.output
        assert "--json" in result.output


def test_help_lists_the_verbs_and_nothing_else():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    listed = [
        line.split()[0]
        for line in result.output.split("Verbs:")[1].splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    assert listed == list(verbs())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_loads_no_heavy_library_and_answers_at_once(arguments):
    script = (
        "import sys\n"
        "from flows.cli import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'ray', 'prefect', 'mlflow', 'av', 'cv2', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(heavy)))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stderr.strip() == ""
    assert result.stdout.startswith("Usage: ")
    # 0.12 s for the list of verbs on an idle core; the bound says only that nothing heavy has crept in.
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 2.0


def test_usage_errors_exit_with_2():
    for arguments in (["no-such-verb"], ["train", "--no-such-option"], ["train", "--epochs", "many"], ["train", "x"]):
        assert run(arguments) == 2, arguments


def test_what_the_user_can_put_right_exits_with_2_and_no_traceback(failing_verb, capsys):
    failing_verb(InputError("list.csv:3: time_end is not after time_start"))
    assert run(["x"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "ssat: error: list.csv:3: time_end is not after time_start\n"
    assert captured.out == ""


def test_the_cause_of_a_wrapped_error_is_what_is_shown(failing_verb, capsys):
    wrapped = RuntimeError("task failed")
    wrapped.__cause__ = InputError("no such list")
    failing_verb(wrapped)
    assert run(["x"]) == 2
    assert capsys.readouterr().err == "ssat: error: no such list\n"


def test_a_defect_is_one_line_that_says_so(failing_verb, capsys):
    failing_verb(ZeroDivisionError("division\nby zero"))
    assert run(["x"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "defect: ZeroDivisionError: division by zero" in error
    assert "--debug" in error


def test_debug_shows_where(failing_verb, capsys):
    failing_verb(ZeroDivisionError("division by zero"))
    assert run(["x"], debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_exits_with_130(failing_verb, capsys):
    failing_verb(KeyboardInterrupt())
    assert run(["x"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error():
    script = "from flows.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.argv[1:] = ['run', '--help']; {script}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1, 141)  # 1 is click's own answer to a closed pipe
    assert error == b""


def test_a_workspace_below_a_file_is_an_error_of_every_stage(tmp_path):
    (tmp_path / "file").write_text("")
    result = _call("decode", "--workspace", str(tmp_path / "file" / "workspace"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert "file/workspace: not writable (Not a directory)" in result.stderr
    assert "--workspace" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[trian]\n", "unknown section or key trian; expected sections:"),
        ("[train]\nepochs = 2\nmargn = 0.1\n", "config.toml:3: setting train.margn: there is no such setting; did you"),
        ("[train]\nmargin = 7\n", "config.toml:2: setting train.margin: Input should be less than 1 (given: 7)"),
        ("[train]\nepochs = 'many'\n", "config.toml:2: setting train.epochs:"),
        ("train = 3\n", "train is a value; expected a section, [train]"),
        ("[train\n", "not a readable TOML file"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_file_is_explained_by_file_and_line(tmp_path, capsys, text, said):
    config = tmp_path / "config.toml"
    config.write_text(text)
    assert run(["train", "--workspace", str(tmp_path), "--config", str(config)]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_configuration_file(tmp_path, capsys):
    assert run(["train", "--workspace", str(tmp_path), "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: no such configuration file" in capsys.readouterr().err


def test_every_stage_may_have_its_section_in_the_configuration_file():
    from flows.settings_page import models

    assert {model.section for model in models()} == config_sections()


def test_a_server_that_does_not_answer_ends_a_command_with_2(tmp_path):
    (tmp_path / "urls.txt").write_text("https://example.org/clip.mp4\n")
    source = str(tmp_path / "urls.txt")
    result = _call(
        "collect", "--source", source, "--workspace", str(tmp_path), PREFECT_API_URL="http://me:s3cret@127.0.0.1:9/api"
    )
    assert result.returncode == 2
    assert "PREFECT_API_URL=http://127.0.0.1:9/api" in result.stderr
    assert "s3cret" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_run_wants_a_benchmark_it_can_do_before_it_begins(tmp_path, capsys):
    source, place = tmp_path / "urls.txt", tmp_path / "workspace"
    source.write_text("https://example.org/clip.mp4\n")
    common = ["run", "--workspace", str(place), "--source", str(source)]
    assert run(common) == 2
    assert "give --mot" in capsys.readouterr().err
    assert run([*common, "--mot", str(tmp_path / "none")]) == 2
    assert "none: no such folder" in capsys.readouterr().err
    assert not list(place.iterdir())


@pytest.mark.integration
def test_ui_answers_on_both_ports_and_stops_when_asked(tmp_path):
    import urllib.request

    process = subprocess.Popen([*SSAT, "ui", "--workspace", str(tmp_path), "--json"], stdout=subprocess.PIPE, text=True)
    try:
        addresses = json.loads(process.stdout.readline())
        for name in ("prefect", "mlflow"):
            with urllib.request.urlopen(addresses[name], timeout=30) as response:
                assert response.status == 200
                assert b"<html" in response.read()
        assert all(address.startswith("http://127.0.0.1:") for address in addresses.values())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=180) == 0
    finally:
        process.kill()
        process.stdout.close()
    deadline = time.monotonic() + 120
    for address in addresses.values():
        while _answers(address):
            assert time.monotonic() < deadline, f"{address} still answers"
            time.sleep(0.2)


def _answers(address: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    try:
        socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_module_of_an_extra_that_is_missing_is_named_with_the_extra(failing_verb, capsys):
    failing_verb(ModuleNotFoundError("No module named 'yt_dlp.utils'", name="yt_dlp.utils"))
    assert run(["collect"]) == 2
    assert "error: collect: package yt_dlp is not installed; pip install 'ssat[pipeline]'" in capsys.readouterr().err


def test_any_other_missing_module_is_a_defect(failing_verb, capsys):
    failing_verb(ModuleNotFoundError("No module named 'nowhere'", name="nowhere"))
    assert run(["collect"]) == 1
    assert "defect: ModuleNotFoundError" in capsys.readouterr().err
