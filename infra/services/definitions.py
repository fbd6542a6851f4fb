"""What each service is started with: its command, its environment, its account."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from infra.services import postgres

POOL = "ssat"
RAY_NODES = ("ray-head", "ray-worker-1", "ray-worker-2")
NAMES = ("postgres", "prefect", "mlflow", *RAY_NODES, "prefect-worker")
PROJECT = Path(__file__).resolve().parents[2]
NODE_ADDRESS = "127.0.0.2"  # Ray replaces 127.0.0.1 by an address that other machines reach
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


class Addresses(Protocol):
    """The folders, ports, addresses and secrets of a stack, which its services are started with."""

    @property
    def root(self) -> Path:
        """The folder that holds the state of all services."""
        ...

    @property
    def ray_folder(self) -> str:
        """Where Ray keeps its sockets and logs."""
        ...

    def port(self, name: str) -> int:
        """The port of a service, "dashboard" or "metrics-NODE"."""
        ...

    def page(self, which: str) -> str:
        """The address of a page: prefect, mlflow or ray."""
        ...

    def database(self, driver: str, database: str) -> str:
        """The address of a database, with its password; `driver` is SQLAlchemy's."""
        ...

    def secret(self, name: str) -> str:
        """A secret of the stack."""
        ...

    def environment(self) -> dict[str, str]:
        """What names the services to others, and holds the secrets."""
        ...


@dataclass(frozen=True)
class Service:
    """What one service is started with."""

    command: list[str]
    environment: dict[str, str]
    user: str | None = None


def definition(stack: Addresses, name: str) -> Service:
    """How the service `name` of `stack` is started."""
    if name == "postgres":
        folder = stack.root / "postgres"
        if _no_postmaster(folder):
            (folder / "postmaster.pid").unlink(missing_ok=True)
        return Service(postgres.command(folder, stack.port(name)), _base(), postgres.account())
    prefect_home = {"PREFECT_HOME": str(stack.root / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    if name == "prefect":
        return Service(
            [*_python("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(stack.port(name))],
            _base()
            | prefect_home
            | {
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": stack.database("asyncpg", "prefect"),
                # The address that the page uses; its default is the usual port, not the one that the server listens on.
                "PREFECT_UI_API_URL": f"{stack.page('prefect')}/api",
            },
        )
    if name == "mlflow":
        return Service(
            [*_python("mlflow"), "server", "--app-name", "basic-auth", "--workers", "1"],
            _base() | _mlflow_environment(stack),
        )
    if name in RAY_NODES:
        return Service(_ray_command(stack, name), _base() | stack.environment() | _ray_environment())
    return Service(
        [*_python("prefect"), "worker", "start", "--pool", POOL, "--type", "process", "--name", "services"],
        _base()
        | stack.environment()
        | prefect_home
        | {
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
            "PREFECT_WORKER_QUERY_SECONDS": "2",  # on loopback asking costs little; a run waits 10 s otherwise
        },
    )


def choose_ports(usual: bool) -> dict[str, int]:
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


def _mlflow_environment(stack: Addresses) -> Mapping[str, str]:
    # By environment: arguments can be read by every user of the machine.
    return {
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(stack.port("mlflow")),
        "MLFLOW_BACKEND_STORE_URI": stack.database("pg8000", "mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(stack.root / "mlflow-artifacts"),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_AUTH_CONFIG_PATH": str(stack.root / "basic_auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": stack.secret("mlflow_password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": stack.secret("mlflow_session_key"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _ray_command(stack: Addresses, name: str) -> list[str]:
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={NODE_ADDRESS}"]
    command += [f"--object-store-memory={_OBJECT_STORE_BYTES}"]
    command += [f"{option}={stack.port(f'{kind}-{name}')}" for kind, option in _AGENT_PORTS.items()]
    if name == "ray-head":
        # The head looks after the cluster; work goes to the two workers.
        command += ["--head", f"--port={stack.port(name)}", "--num-cpus=0", f"--temp-dir={stack.ray_folder}"]
        return [*command, "--dashboard-host=127.0.0.1", f"--dashboard-port={stack.port('dashboard')}"]
    cpus = max(1, len(os.sched_getaffinity(0)) // 2)
    return [*command, f"--address={NODE_ADDRESS}:{stack.port('ray-head')}", f"--num-cpus={cpus}"]


def _ray_environment() -> Mapping[str, str]:
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # A node that does not answer is given up after seconds: on loopback the network is not what delays it.
        "RAY_health_check_period_ms": "2000",
        "RAY_health_check_failure_threshold": "5",
        # How many seconds Ray waits for its own processes: 20 and 5 by default, too few for a machine under load.
        "RAY_NUM_REDIS_GET_RETRIES": "120",
        "RAY_gcs_rpc_server_connect_timeout_s": "60",
        "RAY_agent_register_timeout_ms": "120000",
    }


def _no_postmaster(folder: Path) -> bool:
    """Whether a lock file was left by a server that was killed: its number may be another process's by now."""
    try:
        pid = int((folder / "postmaster.pid").read_text().split()[0])
        return "postgres" not in psutil.Process(pid).name()
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return True


def _base() -> dict[str, str]:
    """This process's environment without what names other services; the project's packages can be imported."""
    foreign = ("PREFECT_", "RAY_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    paths = [str(PROJECT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "DO_NOT_TRACK": "1"}


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]
