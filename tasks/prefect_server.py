"""A Prefect server for one workspace: a child process that ends with the process which started it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from ssat.errors import ServiceError
from tasks.addresses import exempt_loopback, http_status
from tasks.databases import check_database, prefect_schema, sqlite_url

_DATABASE_VARIABLES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")


class PrefectServer:
    """Prefect's own API application under uvicorn on loopback, on the database below `home`.

    Prefect can start a temporary server by itself. It is started here instead because that one waits only 20 s, writes
    to this process's standard output, and outlives a process that is killed.
    """

    def __init__(self, home: Path, *, port: int = 0, pages: bool = False) -> None:
        self.home = home
        self.log = home / "server.log"
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Bound here and passed to the child, so that no other process can take the port in between.
            self._listener.bind(("127.0.0.1", port))
        except OSError as error:
            self._listener.close()
            raise ServiceError(f"Prefect: port {port} of 127.0.0.1 cannot be used ({error.strerror})") from error
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.api_url = f"{self.address}/api"
        self._pages = pages
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; `wait` says when it answers.

        Raises:
            ServiceError: its database is locked, damaged, not writable or of a newer version.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        exempt_loopback(self.address)
        database = self.home / "prefect.db"
        named = any(os.environ.get(name) for name in _DATABASE_VARIABLES)
        if not named:
            check_database(database, prefect_schema())
        environment = {
            **os.environ,
            **({} if named else {_DATABASE_VARIABLES[0]: sqlite_url(database, "aiosqlite")}),
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "true" if self._pages else "false",
            "PREFECT_UI_ENABLED": "true" if self._pages else "false",
            "PREFECT_UI_API_URL": self.api_url,
            "PREFECT__SERVER_FINAL": "1",
        }
        if not self._pages:
            # Omit the background services (schedules, late runs) that a single command does not need.
            environment["PREFECT__SERVER_EPHEMERAL"] = "1"
        environment.pop("PREFECT_API_URL", None)
        descriptor = self._listener.fileno()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.prefect_server", str(descriptor)],
                stdin=subprocess.PIPE,  # closes when this process ends, however it ends
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(descriptor,),
                env=environment,
                start_new_session=True,  # Ctrl-C goes to the flow, which still has to report its state
            )

    def wait(self, within_s: float) -> None:
        """Return when the server answers.

        Raises:
            ServiceError: it ended, or did not answer within `within_s` seconds; names its log.
        """
        if self._process is None:
            raise RuntimeError("wait comes after start")
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServiceError(f"Prefect: the embedded server ended at once; its log: {self.log}\n{self._last()}")
            try:
                if http_status(f"{self.api_url}/health", timeout_s=2.0) == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise ServiceError(
            f"Prefect: the embedded server did not answer within {within_s:.0f} s; its log: {self.log}. "
            "On a slow machine set PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to more"
        )

    def stop(self) -> None:
        """End the process and wait for it."""
        self._listener.close()
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _last(self, lines: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def serve(descriptor: int) -> None:
    """Serve on the inherited socket until standard input closes; runs in the child process."""
    import uvicorn

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="warning", lifespan="on")
    config.timeout_graceful_shutdown = 3
    server = uvicorn.Server(config)

    def watch() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True
        # A server that is still starting, or whose shutdown hangs on an open event stream, is killed.
        time.sleep(8)
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
