"""The services of one folder: what each is started with, whether it answers, and how it is stopped."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.services import postgres, processes
from infra.services.processes import Started
from tasks.addresses import http_status

POOL = "ssat"
RAY_NODES = ("ray-head", "ray-worker-1", "ray-worker-2")
NAMES = ("postgres", "prefect", "mlflow", *RAY_NODES, "prefect-worker")
_PROJECT = Path(__file__).resolve().parents[2]
_USUAL_PORTS = {"postgres": 5433, "prefect": 4200, "mlflow": 5000, "ray-head": 6379, "dashboard": 8265}
# Ray gives up on a node whose agents have not said within 15 s which ports they took: they are told.
_AGENT_PORTS = {
    "metrics": "--metrics-export-port",
    "agent": "--dashboard-agent-listen-port",
    "agent-grpc": "--dashboard-agent-grpc-port",
    "environment": "--runtime-env-agent-port",
}
_PORTS = (*_USUAL_PORTS, *(f"{kind}-{name}" for name in RAY_NODES for kind in _AGENT_PORTS))
_OBJECT_STORE_BYTES = 200_000_000
_START_WITHIN_S = 300.0
_RAY_STARTS = 3
_NODE_ADDRESS = "127.0.0.2"  # Ray replaces 127.0.0.1 by an address that other machines reach
# How each is asked to end. SIGINT tells Postgres to end its connections; Prefect and Ray end cleanly on SIGTERM.
_END = {"postgres": signal.SIGINT}


@dataclass(frozen=True)
class Service:
    """What one service is started with."""

    command: list[str]
    environment: dict[str, str]
    user: str | None = None


class Stack:
    """The services whose state lies in `root`. What was started is written down there before anything else is done."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._file = self.root / "state.json"
        self._state: dict[str, Any] = json.loads(self._file.read_text()) if self._file.is_file() else {}

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
                "ports": _ports(usual_ports),
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
        service = self._service(name)
        started = processes.start(
            service.command, service.environment, self.log(name), user=service.user, folder=_PROJECT
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
            "RAY_ADDRESS": f"{_NODE_ADDRESS}:{self.port('ray-head')}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.root / "ray_token"),
            "MLFLOW_TRACKING_URI": self.page("mlflow"),
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    def _service(self, name: str) -> Service:
        if name == "postgres":
            folder = self.root / "postgres"
            if self._no_postmaster(folder):
                (folder / "postmaster.pid").unlink(missing_ok=True)
            return Service(postgres.command(folder, self.port(name)), _base(), postgres.account())
        prefect_home = {"PREFECT_HOME": str(self.root / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        if name == "prefect":
            database = self._database("asyncpg", "prefect")
            return Service(
                [*_python("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(self.port(name))],
                _base() | prefect_home | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database},
            )
        if name == "mlflow":
            return Service(
                [*_python("mlflow"), "server", "--app-name", "basic-auth", "--workers", "1"],
                _base() | self._mlflow_environment(),
            )
        if name in RAY_NODES:
            return Service(self._ray_command(name), _base() | self.environment() | _ray_environment())
        return Service(
            [*_python("prefect"), "worker", "start", "--pool", POOL, "--type", "process", "--name", "services"],
            _base()
            | self.environment()
            | prefect_home
            | {"PREFECT_RESULTS_DEFAULT_SERIALIZER": "json", "PREFECT_WORKER_HEARTBEAT_SECONDS": "5"},
        )

    def _mlflow_environment(self) -> dict[str, str]:
        # By environment: arguments can be read by every user of the machine.
        return {
            "MLFLOW_HOST": "127.0.0.1",
            "MLFLOW_PORT": str(self.port("mlflow")),
            "MLFLOW_BACKEND_STORE_URI": self._database("pg8000", "mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": str(self.root / "mlflow-artifacts"),
            "MLFLOW_SERVE_ARTIFACTS": "true",
            "MLFLOW_AUTH_CONFIG_PATH": str(self.root / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self._state["mlflow_password"],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._state["mlflow_session_key"],
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def _ray_command(self, name: str) -> list[str]:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={_NODE_ADDRESS}"]
        command += [f"--object-store-memory={_OBJECT_STORE_BYTES}"]
        command += [f"{option}={self.port(f'{kind}-{name}')}" for kind, option in _AGENT_PORTS.items()]
        if name == "ray-head":
            # The head looks after the cluster; work goes to the two workers.
            command += [
                "--head",
                f"--port={self.port(name)}",
                "--num-cpus=0",
                f"--temp-dir={self._state['ray_folder']}",
            ]
            return [*command, "--dashboard-host=127.0.0.1", f"--dashboard-port={self.port('dashboard')}"]
        cpus = max(1, len(os.sched_getaffinity(0)) // 2)
        return [*command, f"--address={_NODE_ADDRESS}:{self.port('ray-head')}", f"--num-cpus={cpus}"]

    def _database(self, driver: str, database: str) -> str:
        return postgres.url(driver, database, self.port("postgres"), self._state["postgres_password"])

    def _no_postmaster(self, folder: Path) -> bool:
        """Whether a lock file was left by a server that was killed: its number may be another process's by now."""
        try:
            pid = int((folder / "postmaster.pid").read_text().split()[0])
            return "postgres" not in psutil.Process(pid).name()
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return True

    def _write_auth(self) -> None:
        file = self.root / "basic_auth.ini"
        file.touch(mode=0o600)
        database = self._database("pg8000", "mlflow_auth").replace("%", "%%")
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


def _base() -> dict[str, str]:
    """This process's environment without what names other services; the project's packages can be imported."""
    foreign = ("PREFECT_", "RAY_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    paths = [str(_PROJECT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "DO_NOT_TRACK": "1"}


def _ray_environment() -> dict[str, str]:
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # A node that does not answer is given up after seconds: on loopback the network is not what delays it.
        "RAY_health_check_period_ms": "2000",
        "RAY_health_check_failure_threshold": "5",
        # How many seconds Ray waits for its own processes: 20 and 5 unless told, too few for a machine under load.
        "RAY_NUM_REDIS_GET_RETRIES": "120",
        "RAY_gcs_rpc_server_connect_timeout_s": "60",
        "RAY_agent_register_timeout_ms": "120000",
    }


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _ports(usual: bool) -> dict[str, int]:
    """A port for each of `_PORTS`: the usual one where that is asked for and it is free, any free one else."""
    taken: list[socket.socket] = []
    ports = {}
    for name in _PORTS:
        wanted = _USUAL_PORTS.get(name, 0) if usual else 0
        try:
            taken.append(socket.create_server(("127.0.0.1", wanted)))
        except OSError:
            taken.append(socket.create_server(("127.0.0.1", 0)))
        ports[name] = int(taken[-1].getsockname()[1])
    for held in taken:
        held.close()
    return ports
