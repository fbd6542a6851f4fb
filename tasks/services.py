"""Prefect, Ray and MLflow for the time of one command: embedded in the workspace, or servers that were named.

| service | named by            | embedded default                                            |
|---------|---------------------|-------------------------------------------------------------|
| Prefect | PREFECT_API_URL     | temporary server, database in `workspace/prefect`           |
| Ray     | RAY_ADDRESS         | local cluster of this machine's cores and GPUs              |
| MLflow  | MLFLOW_TRACKING_URI | SQLite and artifact folder in `workspace/mlflow`            |

A server that is named but does not answer is an error within ten seconds; it is never replaced silently.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.addresses import assert_port_open, http_status, no_answer
from tasks.prefect_server import PrefectServer

PREFECT_EMBEDDED = "the embedded temporary server"
RAY_EMBEDDED = "a local Ray"
MLFLOW_EMBEDDED = "SQLite in the workspace"
_START_WITHIN_S = 300.0
_OBJECT_STORE_BYTES = 512 * 1024**2
_RAY_STARTS = 2


@contextmanager
def services(
    workspace: Workspace, *, prefect: bool = True, ray: bool = False, mlflow: bool = False, debug: bool = False
) -> Iterator[None]:
    """The services that a command needs, started before it and stopped after it.

    Raises:
        ServiceError: a named server does not answer, or an embedded one does not start.
    """
    check_named_services(prefect=prefect, ray=ray, mlflow=mlflow)
    with ExitStack() as stack:
        if mlflow:
            stack.enter_context(mlflow_session(workspace, debug=debug))
        if prefect:
            stack.enter_context(prefect_session(workspace, debug=debug))
        # Ray comes last: its workers inherit this process's environment, the other two addresses among it.
        if ray:
            stack.enter_context(ray_session(debug=debug))
        yield


def check_named_services(*, prefect: bool = True, ray: bool = True, mlflow: bool = True) -> None:
    """Asks every server that an environment variable names for an answer, before any work is started.

    Raises:
        ServiceError: one does not answer; names the variable and the address without credentials.
    """
    if prefect and (url := os.environ.get("PREFECT_API_URL")):
        check_prefect(url)
    if mlflow and (uri := os.environ.get("MLFLOW_TRACKING_URI")):
        check_mlflow(uri)
    if ray and (address := os.environ.get("RAY_ADDRESS")) and address not in ("auto", "local"):
        assert_port_open("Ray", "RAY_ADDRESS", address, RAY_EMBEDDED)


def check_prefect(url: str) -> None:
    """Raises ServiceError unless a Prefect API answers at `url`."""
    variable = "PREFECT_API_URL"
    assert_port_open("Prefect", variable, url, PREFECT_EMBEDDED)
    try:
        status = http_status(f"{url.rstrip('/')}/health")
    except (OSError, ValueError) as error:
        raise no_answer("Prefect", variable, url, str(error), PREFECT_EMBEDDED) from error
    if status == 404:
        raise no_answer("Prefect", variable, url, "HTTP 404: the address of an API ends in /api", PREFECT_EMBEDDED)
    if status >= 500:
        raise no_answer("Prefect", variable, url, f"HTTP {status}", PREFECT_EMBEDDED)


def check_mlflow(uri: str) -> None:
    """Raises ServiceError unless an MLflow server, or a database for it, answers at `uri`."""
    variable = "MLFLOW_TRACKING_URI"
    scheme = uri.split(":", 1)[0].split("+")[0]
    if scheme == "sqlite" or scheme.startswith("databricks"):
        return
    if scheme not in ("http", "https", "postgresql", "mysql", "mssql"):
        expected = "expected http(s)://, postgresql://, mysql:// or sqlite:///"
        raise no_answer("MLflow", variable, uri, expected, MLFLOW_EMBEDDED)
    assert_port_open("MLflow", variable, uri, MLFLOW_EMBEDDED)
    if scheme in ("http", "https"):
        try:
            status = http_status(f"{uri.rstrip('/')}/health")
        except OSError as error:
            raise no_answer("MLflow", variable, uri, str(error), MLFLOW_EMBEDDED) from error
        if status >= 500 or status == 404:
            raise no_answer("MLflow", variable, uri, f"HTTP {status} from /health", MLFLOW_EMBEDDED)


@contextmanager
def prefect_session(workspace: Workspace, *, debug: bool = False) -> Iterator[str]:
    """A Prefect API for the flows started inside; yields its address."""
    quiet = {
        "PREFECT_LOGGING_LEVEL": "DEBUG" if debug else "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # results are plain data; nothing is unpickled
        "DO_NOT_TRACK": "1",
    }
    with ExitStack() as stack:
        stack.enter_context(_environment(quiet))
        url = os.environ.get("PREFECT_API_URL")
        server = None
        if url:
            check_prefect(url)
        else:
            home = Path(os.environ.get("PREFECT_HOME") or workspace.root / "prefect").expanduser()
            server = PrefectServer(home)
            stack.callback(server.stop)
            server.start()
            url = server.api_url
            stack.enter_context(_environment({"PREFECT_HOME": str(home), "PREFECT_API_URL": url}))
        # Prefect reads its settings when it is imported, which takes seconds: the server starts meanwhile.
        stack.enter_context(_prefect_settings())
        if not debug:
            stack.enter_context(_quiet_prefect_console())
        if server:
            server.wait(float(os.environ.get("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS") or _START_WITHIN_S))
            stack.callback(_drain_prefect)
        yield url


@contextmanager
def _prefect_settings() -> Iterator[None]:
    """Prefect's settings as the environment says now, and as it says again afterwards."""
    import prefect.context
    from prefect.logging.configuration import setup_logging
    from prefect.settings import get_current_settings

    prefect.context.refresh_global_settings_context()
    try:
        # A caller's own settings context (a test harness, say) would hide the refreshed ones.
        with prefect.context.SettingsContext(
            profile=prefect.context.GLOBAL_SETTINGS_CONTEXT.profile,
            settings=prefect.context.GLOBAL_SETTINGS_CONTEXT.settings,
        ):
            get_current_settings()
            setup_logging()
            yield
    finally:
        with contextlib.suppress(Exception):
            prefect.context.refresh_global_settings_context()


@contextmanager
def _quiet_prefect_console() -> Iterator[None]:
    """Keeps Prefect's account of a failure off the terminal: its API has it, and the command line prints the cause."""
    from prefect.logging.handlers import PrefectConsoleHandler

    def keep(record: logging.LogRecord) -> bool:
        return not (record.exc_info or record.getMessage().startswith(("Finished in state", "Crash detected!")))

    loggers = [logging.getLogger(name) for name in ("", "prefect")]
    handlers = [h for logger in loggers for h in logger.handlers if isinstance(h, PrefectConsoleHandler)]
    for handler in handlers:
        handler.addFilter(keep)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(keep)


def _drain_prefect() -> None:
    """Sends the logs and events that wait, so that a server about to stop does not lose them."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    # A log line lost on the way out must not fail work that is done.
    with contextlib.suppress(Exception):
        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)


@contextmanager
def ray_session(workspace: Workspace | None = None, *, debug: bool = False) -> Iterator[None]:
    """A connection to the Ray cluster that RAY_ADDRESS names, or a local one that ends with this context.

    The local cluster counts at least two CPUs, so that two data-parallel workers fit on any machine. `workspace` is
    accepted for symmetry with the other sessions: Ray keeps nothing in it.

    Raises:
        ServiceError: the named cluster does not answer or has no nodes, or the local one does not start.
    """
    address = os.environ.get("RAY_ADDRESS")
    named = bool(address) and address != "local"
    if named and address and address != "auto":
        assert_port_open("Ray", "RAY_ADDRESS", address, RAY_EMBEDDED)
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # How many seconds Ray waits for its own processes: 20 and 5 unless told, too few for a machine under load.
        "RAY_NUM_REDIS_GET_RETRIES": "120",
        "RAY_gcs_rpc_server_connect_timeout_s": "60",
        # And its node for the agent that answers for metrics, milliseconds: 15,000 unless told.
        "RAY_agent_register_timeout_ms": "120000",
    }
    if not named:
        # No cloud takes this machine away; the watch for that would be one process more to start for each training.
        quiet |= {**_ray_authentication(), "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    with ExitStack() as stack:
        stack.enter_context(_environment(quiet))
        import ray

        if ray.is_initialized():
            yield
            return
        level = logging.INFO if debug else logging.CRITICAL
        options: dict[str, Any] = {"logging_level": level, "log_to_driver": debug}
        if named:
            options |= {"address": address, "runtime_env": {"py_modules": _own_packages()}}
        else:
            # Sockets below this folder must stay under 107 characters, whatever TMPDIR and the workspace are.
            folder = tempfile.mkdtemp(prefix="ssat-ray-", dir="/tmp")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            options |= {
                "address": "local",
                "num_cpus": max(2, available_cpus()),
                "object_store_memory": _OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": folder,
            }
        handler = signal.getsignal(signal.SIGTERM)
        for attempt in range(1, _RAY_STARTS + 1):
            try:
                ray.init(**options)
                break
            except Exception as error:
                if named:
                    raise no_answer("Ray", "RAY_ADDRESS", str(address), str(error), RAY_EMBEDDED) from error
                # Ray allows its own processes 30 s, which a machine under load can exceed.
                ray.shutdown()
                if attempt == _RAY_STARTS:
                    raise ServiceError(f"Ray: the local cluster did not start: {error}") from error
        stack.callback(ray.shutdown)
        if threading.current_thread() is threading.main_thread() and handler is not None:
            # Ray puts its own in place, which would end a command with another exit code than its own handler.
            signal.signal(signal.SIGTERM, handler)
        if not any(node["Alive"] for node in ray.nodes()):
            raise no_answer("Ray", "RAY_ADDRESS", str(address), "the cluster has no live node", RAY_EMBEDDED)
        yield


def _ray_authentication() -> dict[str, str]:
    """What a local cluster's processes are told about tokens, in agreement with this process.

    Token authentication is on by default; a token of this process alone spares the file in the home folder. Ray fixes
    its mode when it is imported: where a caller did that before, a token would only lock this process out.
    """
    if "ray" in sys.modules:
        from ray._raylet import AuthenticationMode, get_authentication_mode

        if get_authentication_mode() == AuthenticationMode.DISABLED:
            return {"RAY_AUTH_MODE": "disabled"}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _process_token()}


@cache
def _process_token() -> str:
    """One token for every local cluster of this process: Ray reads it once and keeps it."""
    return secrets.token_hex(32)


def available_cpus() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own_packages() -> list[str]:
    """The folders of this project's packages, which travel to the workers of a cluster on other machines."""
    root = Path(__file__).resolve().parents[1]
    return [str(root / name) for name in ("ssat", "tasks", "flows")]


def mlflow_tracking_uri(workspace: Workspace) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite database of the workspace."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{workspace.mlflow / 'mlflow.db'}"


@contextmanager
def mlflow_session(workspace: Workspace, *, debug: bool = False) -> Iterator[str]:
    """A tracking store for the runs started inside; yields its URI."""
    uri = mlflow_tracking_uri(workspace)
    check_mlflow(uri)
    quiet = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # its bars would write across ours
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        # The defaults retry for minutes; a server that goes away must not hold up the work (see mlflow_run).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }
    with _environment(quiet):
        import mlflow

        previous = mlflow.get_tracking_uri()
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)
        if uri.startswith("sqlite:"):
            workspace.mlflow.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(uri)
        try:
            # The first use of a database creates its tables: once here rather than in several workers at a time.
            mlflow.MlflowClient(uri).search_experiments(max_results=1)
        except Exception as error:
            raise no_answer("MLflow", "MLFLOW_TRACKING_URI", uri, str(error), MLFLOW_EMBEDDED) from error
        try:
            yield uri
        finally:
            mlflow.set_tracking_uri(previous)


@contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    """Sets the variables that are not set yet, and removes those again."""
    added = [name for name in defaults if name not in os.environ]
    os.environ.update({name: defaults[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
