"""The web pages of Prefect and MLflow over the data of one workspace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.addresses import http_status
from tasks.databases import sqlite_url
from tasks.prefect_server import PrefectServer
from tasks.services import prepare_mlflow

_START_WITHIN_S = 300.0


@dataclass(frozen=True)
class Pages:
    """Addresses of the two pages."""

    prefect: str
    mlflow: str


@contextmanager
def pages(workspace: Workspace, *, prefect_port: int = 0, mlflow_port: int = 0) -> Iterator[Pages]:
    """Serve both pages on loopback within the context; port 0 means any free one.

    They show what the embedded services of this workspace recorded. Loopback keeps other machines out, not other
    users of this one: neither page asks for a login.

    Raises:
        ServiceError: a port is taken, or a page does not answer.
    """
    with ExitStack() as stack:
        home = Path(os.environ.get("PREFECT_HOME") or workspace.root / "prefect").expanduser()
        prefect = PrefectServer(home, port=prefect_port, pages=True)
        stack.callback(prefect.stop)
        prefect.start()
        address = stack.enter_context(mlflow_page(workspace, mlflow_port))
        prefect.wait(_START_WITHIN_S)
        yield Pages(prefect.address, address)


@contextmanager
def mlflow_page(workspace: Workspace, port: int = 0) -> Iterator[str]:
    """Serve MLflow's page of a workspace on loopback inside the context; yields its address. Port 0: a free one."""
    port = port or _free_port()
    address = f"http://127.0.0.1:{port}"
    log = workspace.mlflow / "server.log"
    prepare_mlflow(workspace)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", sqlite_url(workspace.mlflow / "mlflow.db")]
    command += ["--default-artifact-root", (workspace.mlflow / "artifacts").as_uri()]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with log.open("wb") as output:
        # A session of its own: the server starts workers, and all of them end together.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        _wait(process, f"{address}/health", log)
        yield address
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-3:])
            raise ServiceError(f"MLflow: its page ended at once; log: {log}\n{last}")
        try:
            if http_status(url, timeout_s=2.0) == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise ServiceError(f"MLflow: its page did not answer within {_START_WITHIN_S:.0f} s; log: {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, patience_s in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=patience_s)
            break
        except subprocess.TimeoutExpired:
            continue
    # Remaining workers of a server that has ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
