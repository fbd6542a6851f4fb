"""The services of one folder: what each is started with, whether it answers, and how it is stopped."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.services import postgres, processes
from infra.services.definitions import NAMES, NODE_ADDRESS, POOL, PROJECT, RAY_NODES, choose_ports, definition
from infra.services.processes import Started
from tasks.addresses import http_status

_START_WITHIN_S = 300.0
_RAY_STARTS = 3
# How each is asked to end. SIGINT tells Postgres to end its connections; Prefect and Ray end cleanly on SIGTERM.
_END = {"postgres": signal.SIGINT}


class Stack:
    """The services whose state lies in `root`. What was started is written down there before anything else is done."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._file = self.root / "state.json"
        self._state: dict[str, Any] = json.loads(self._file.read_text()) if self._file.is_file() else {}

    @property
    def root(self) -> Path:
        """The folder that holds the state of all services."""
        return self._root

    @property
    def exists(self) -> bool:
        """Whether there is anything to stop."""
        return bool(self._state)

    def prepare(self, *, usual_ports: bool = True) -> None:
        """Ports, secrets and folders, once: a stack that is started again keeps them."""
        # Postgres runs as another account where this is root, and has to get through to its folder.
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        (self.root / "logs").mkdir(exist_ok=True, mode=0o700)
        if "ports" not in self._state:
            token = self.root / "ray_token"
            token.touch(mode=0o600)
            token.write_text(secrets.token_hex(32))
            self._state |= {
                "ports": choose_ports(usual_ports),
                "postgres_password": secrets.token_urlsafe(24),
                "mlflow_password": secrets.token_urlsafe(24),
                "mlflow_session_key": secrets.token_hex(32),
                # Ray's sockets need a short path.
                "ray_folder": tempfile.mkdtemp(prefix="ssat-ray-", dir="/tmp"),
                "started": {},
            }
            self._save()
        Path(self._state["ray_folder"]).mkdir(exist_ok=True, mode=0o700)
        postgres.create_cluster(self.root / "postgres", self._state["postgres_password"])
        self._write_auth()

    def up(self, names: Iterable[str] = NAMES) -> None:
        """Start those of `names` that do not run, and wait until they answer.

        Raises:
            TimeoutError, ChildProcessError: one does not answer, or ended; names its log.
        """
        wanted = [name for name in NAMES if name in set(names)]
        # Each level needs the one before it; within a level all start at the same time. Ray's nodes start alone: one
        # whose agents take longer than 15 s to import what they need gives up.
        for level in (("postgres",), ("prefect", "mlflow"), *((node,) for node in RAY_NODES), ("prefect-worker",)):
            members = [name for name in level if name in wanted]
            for name in members:
                self.start(name)
            for name in members:
                self.wait(name)
            if "postgres" in members:
                postgres.create_databases(self.port("postgres"), self._state["postgres_password"])

    def down(self) -> list[str]:
        """Stop what was started here and nothing else; gives the names of what still ran."""
        stopped = []
        for name in reversed(NAMES):
            started = self.started(name)
            if started is not None and started.process() is not None:
                stopped.append(name)
            self.stop(name)
        if folder := self._state.get("ray_folder"):
            shutil.rmtree(folder, ignore_errors=True)
        return stopped

    def remove(self) -> None:
        """Forget the stack with all its data; it has to be down."""
        shutil.rmtree(self.root, ignore_errors=True)
        self._state = {}

    def start(self, name: str) -> None:
        """Start a service that does not run; does not wait for it."""
        started = self.started(name)
        if started is not None and started.process() is not None:
            return
        service = definition(self, name)
        started = processes.start(
            service.command, service.environment, self.log(name), user=service.user, folder=PROJECT
        )
        self._state["started"][name] = [started.pid, started.created]
        self._save()

    def stop(self, name: str) -> None:
        """Ask a service to end, and end it by force where it does not."""
        started = self.started(name)
        if started is not None:
            processes.stop(started, first=_END.get(name, signal.SIGTERM))
            self._state["started"].pop(name)
            self._save()

    def wait(self, name: str, within_s: float = _START_WITHIN_S) -> None:
        """Return when the service answers."""
        started = self.started(name)
        if started is None:
            raise ChildProcessError(f"{name} was not started")
        for attempt in range(_RAY_STARTS if name in RAY_NODES else 1, 0, -1):
            try:
                processes.wait_until(name, lambda: self.answers(name), started, self.log(name), within_s)
                return
            except ChildProcessError:
                # Ray allows its own processes 30 s, which a machine under load can exceed.
                if attempt == 1:
                    raise
                self.start(name)
                started = self.started(name) or started

    def started(self, name: str) -> Started | None:
        """The process of a service as it was started; it may have ended since."""
        row = self._state.get("started", {}).get(name)
        return Started(*row) if row else None

    def port(self, name: str) -> int:
        """The port of a service, "dashboard" or "metrics-NODE"."""
        return int(self._state["ports"][name])

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.root / "logs" / f"{name}.log"

    def answers(self, name: str) -> bool:
        """Whether the service does its work. OSError where it cannot be reached at all."""
        if name == "postgres":
            return postgres.answers(self.port(name), self._state["postgres_password"])
        if name == "prefect":
            return http_status(f"{self.page('prefect')}/api/ready") == 200
        if name == "mlflow":
            return http_status(f"{self.page('mlflow')}/health") == 200
        if name in RAY_NODES:
            # A node is known by its port for metrics, which is its alone.
            return str(self.port(f"metrics-{name}")) in self.live_ray_nodes()
        return any(worker["status"] == "ONLINE" for worker in self._prefect_workers())

    def live_ray_nodes(self) -> set[str]:
        """The ports for metrics of the Ray nodes that are alive."""
        rows = self._get(f"{self.page('ray')}/nodes?view=summary", self.ray_token())["data"]["summary"]
        return {
            str(row["raylet"]["metricsExportPort"]) for row in rows if row.get("raylet", {}).get("state") == "ALIVE"
        }

    def page(self, which: str) -> str:
        """The address of a page: prefect, mlflow or ray."""
        return f"http://127.0.0.1:{self.port('dashboard' if which == 'ray' else which)}"

    def ray_token(self) -> str:
        """The token that Ray asks for."""
        return (self.root / "ray_token").read_text()

    def mlflow_login(self) -> tuple[str, str]:
        """User and password of MLflow's administrator."""
        return "admin", str(self._state["mlflow_password"])

    def environment(self) -> dict[str, str]:
        """What names the services to ssat, to Ray's, Prefect's and MLflow's own commands, and holds the secrets."""
        user, password = self.mlflow_login()
        return {
            "PREFECT_API_URL": f"{self.page('prefect')}/api",
            "RAY_ADDRESS": f"{NODE_ADDRESS}:{self.port('ray-head')}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.root / "ray_token"),
            "MLFLOW_TRACKING_URI": self.page("mlflow"),
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    def database(self, driver: str, database: str) -> str:
        """The address of a database, with its password; `driver` is SQLAlchemy's."""
        return postgres.url(driver, database, self.port("postgres"), self._state["postgres_password"])

    def secret(self, name: str) -> str:
        """A secret of the stack: mlflow_password, mlflow_session_key or postgres_password."""
        return str(self._state[name])

    @property
    def ray_folder(self) -> str:
        """Where Ray keeps its sockets and logs."""
        return str(self._state["ray_folder"])

    def _write_auth(self) -> None:
        file = self.root / "basic_auth.ini"
        file.touch(mode=0o600)
        database = self.database("pg8000", "mlflow_auth").replace("%", "%%")
        file.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\nadmin_username = admin\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )

    def _prefect_workers(self) -> list[dict[str, Any]]:
        address = f"{self.page('prefect')}/api/work_pools/{POOL}/workers/filter"
        return list(self._get(address, None, b"{}"))

    def _get(self, address: str, token: str | None, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(address, data=body, headers=headers)  # noqa: S310 - our own loopback address
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)

    def _save(self) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(self._state, indent=1))
        temporary.replace(self._file)


@contextmanager
def running(root: Path, names: Iterable[str] = NAMES) -> Iterator[Stack]:
    """A stack on free ports for the time of a block."""
    stack = Stack(root)
    try:
        stack.prepare(usual_ports=False)
        stack.up(names)
        yield stack
    finally:
        stack.down()
