"""Processes that are found again, asked to end, and ended by force; the state of a stack, and its database."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from infra.services import postgres, processes
from infra.services.__main__ import main
from infra.services.definitions import NAMES
from infra.services.stack import Stack

STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


def start(code: str, log: Path) -> processes.Started:
    return processes.start([sys.executable, "-c", code], os.environ, log, folder=log.parent)


def wait_for(log: Path) -> str:
    for _ in range(600):
        if text := log.read_text():
            return text
        processes.time.sleep(0.1)
    raise AssertionError(log)


def test_a_process_that_does_not_listen_is_ended_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = start(STUBBORN, log)
    child = psutil.Process(int(wait_for(log)))
    assert len(processes.family(started)) == 2
    processes.stop(started, first=signal.SIGTERM, patience_s=0.5)
    assert started.process() is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_another_process_with_the_same_number_is_let_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        try:
            stale = processes.Started(other.pid, psutil.Process(other.pid).create_time() - 100)
            processes.stop(stale, first=signal.SIGKILL)
            processes.kill(stale)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_service_that_ends_at_once_is_named_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = start("raise SystemExit('no such database')", log)
    with pytest.raises(ChildProcessError, match=r"(?s)mlflow ended at once; log: .*no such database"):
        processes.wait_until("mlflow", lambda: False, started, log, 60)


def test_a_stack_that_was_never_started_is_checked_and_stopped_without_harm(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path / "services")]
    checked = CliRunner().invoke(main, ["check", *folder])
    assert checked.exit_code == 1
    assert checked.output.count("was not started") == len(NAMES)
    assert CliRunner().invoke(main, ["down", *folder]).output == "stopped: nothing ran\n"
    assert CliRunner().invoke(main, ["env", *folder]).exit_code == 1


@pytest.mark.integration
def test_postgres_alone_starts_is_killed_and_comes_back_with_its_data(services_folder: Path) -> None:
    stack = Stack(services_folder / "services")
    try:
        stack.prepare(usual_ports=False)
        stack.up(["postgres"])
        assert stack.answers("postgres")
        for name in postgres.DATABASES:
            assert postgres.answers(stack.port("postgres"), stack._state["postgres_password"], name)
        with pytest.raises(OSError, match="authentication"):
            postgres.answers(stack.port("postgres"), "wrong")
        # Secrets are for this account alone, and no argument holds one.
        for file in ("state.json", "ray_token", "basic_auth.ini"):
            assert stat.S_IMODE((stack.root / file).stat().st_mode) == 0o600, file
        started = stack.started("postgres")
        assert started is not None
        assert stack._state["postgres_password"] not in " ".join(started.process().cmdline())
        processes.kill(started)
        # Another object, as another command would make it: the state is in the folder.
        again = Stack(stack.root)
        again.prepare()
        again.up(["postgres"])
        assert again.answers("postgres")
        assert again.down() == ["postgres"]
        with pytest.raises(OSError, match=r"."):
            again.answers("postgres")
    finally:
        stack.down()
