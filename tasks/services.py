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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.addresses import assert_port_open, exempt_loopback, http_answer, no_answer
from tasks.databases import check_database, mlflow_schema, relocate_artifacts, sqlite_file, sqlite_url
from tasks.environment import available_cpus, default_environment
from tasks.prefect_server import PrefectServer
from tasks.ray_cluster import RAY_EMBEDDED, check_ray, ray_session

__all__ = [
    "MLFLOW_EMBEDDED",
    "PREFECT_EMBEDDED",
    "RAY_EMBEDDED",
    "available_cpus",
    "check_mlflow",
    "check_named_services",
    "check_prefect",
    "check_ray",
    "mlflow_session",
    "mlflow_tracking_uri",
    "mlflow_unusable",
    "prefect_session",
    "prepare_mlflow",
    "ray_session",
    "services",
]

PREFECT_EMBEDDED = "the embedded temporary server"
MLFLOW_EMBEDDED = "SQLite in the workspace"
_LOG = logging.getLogger(__name__)
_START_WITHIN_S = 300.0


@contextmanager
def services(
    workspace: Workspace, *, prefect: bool = True, ray: bool = False, mlflow: bool = False, debug: bool = False
) -> Iterator[None]:
    """Start the services that a command needs; stop them afterwards.

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
    """Ask every server that an environment variable names for an answer, before any work is started.

    Raises:
        ServiceError: one does not answer; names the variable and the address without credentials.
    """
    exempt_loopback(*(os.environ.get(name, "") for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "RAY_ADDRESS")))
    if prefect and (url := os.environ.get("PREFECT_API_URL")):
        check_prefect(url)
    if mlflow and (uri := os.environ.get("MLFLOW_TRACKING_URI")):
        check_mlflow(uri)
    if ray and (address := os.environ.get("RAY_ADDRESS")):
        check_ray(address)


def check_prefect(url: str) -> None:
    """Raise ServiceError unless a Prefect API answers at `url`."""
    variable = "PREFECT_API_URL"
    assert_port_open("Prefect", variable, url, PREFECT_EMBEDDED)
    try:
        answer = http_answer(f"{url.rstrip('/')}/health")
    except (OSError, ValueError) as error:
        raise no_answer("Prefect", variable, url, str(error), PREFECT_EMBEDDED) from error
    if answer.status == 404:
        raise no_answer("Prefect", variable, url, "HTTP 404: the address of an API ends in /api", PREFECT_EMBEDDED)
    if answer.status >= 500:
        raise no_answer("Prefect", variable, url, f"HTTP {answer.status}", PREFECT_EMBEDDED)
    if answer.status == 200 and answer.json() is not True:
        reason = "its /health does not answer as Prefect's; the address of an API ends in /api"
        raise no_answer("Prefect", variable, url, reason, PREFECT_EMBEDDED)


def check_mlflow(uri: str, variable: str = "MLFLOW_TRACKING_URI", embedded: str = MLFLOW_EMBEDDED) -> None:
    """Raise ServiceError unless an MLflow server, or a database for it, answers at `uri`.

    Args:
        variable: what names the address, for the message.
        embedded: what to do instead, for the message.
    """
    scheme = uri.split(":", 1)[0].split("+")[0]
    if scheme.startswith("databricks"):
        return
    if scheme == "sqlite":
        if file := sqlite_file(uri):
            check_database(file, mlflow_schema())
        return
    if scheme not in ("http", "https", "postgresql", "mysql", "mssql"):
        expected = "expected http(s)://, postgresql://, mysql:// or sqlite:///"
        raise no_answer("MLflow", variable, uri, expected, embedded)
    assert_port_open("MLflow", variable, uri, embedded)
    if scheme in ("http", "https"):
        try:
            answer = http_answer(f"{uri.rstrip('/')}/health")
        except OSError as error:
            raise no_answer("MLflow", variable, uri, str(error), embedded) from error
        if answer.status >= 500 or answer.status == 404:
            raise no_answer("MLflow", variable, uri, f"HTTP {answer.status} from /health", embedded)
        if answer.status == 200 and answer.body.strip() != b"OK":
            raise no_answer("MLflow", variable, uri, "its /health does not answer as MLflow's", embedded)


@contextmanager
def prefect_session(workspace: Workspace, *, debug: bool = False) -> Iterator[str]:
    """Provide a Prefect API for the flows started inside; yield its address."""
    quiet = {
        "PREFECT_LOGGING_LEVEL": "DEBUG" if debug else "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # results are plain data; nothing is unpickled
        "DO_NOT_TRACK": "1",
    }
    with ExitStack() as stack:
        stack.enter_context(default_environment(quiet))
        url = os.environ.get("PREFECT_API_URL")
        server = None
        exempt_loopback(url or "")
        if url:
            check_prefect(url)
        else:
            home = Path(os.environ.get("PREFECT_HOME") or workspace.services / "prefect").expanduser()
            server = PrefectServer(home)
            stack.callback(server.stop)
            server.start()
            url = server.api_url
            stack.enter_context(default_environment({"PREFECT_HOME": str(home), "PREFECT_API_URL": url}))
        # Prefect reads its settings when it is imported, which takes seconds: the server starts meanwhile.
        stack.enter_context(_prefect_settings())
        if not debug:
            stack.enter_context(_quiet_prefect_console())
        _check_proxies()
        if server is None:
            _ask_prefect(url)
        else:
            server.wait(float(os.environ.get("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS") or _START_WITHIN_S))
            stack.callback(_drain_prefect)
        yield url


def _check_proxies() -> None:
    """Raise ServiceError if Prefect's client cannot be made for a proxy variable that it does not understand."""
    import httpx

    try:
        httpx.Client().close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        reason = " ".join(str(error).split())
        raise ServiceError(
            f"HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY: Prefect's client cannot use what is set ({reason}); "
            "expected http://, https:// or socks5:// addresses, and names or addresses in NO_PROXY. Correct or unset it"
        ) from error


def _ask_prefect(url: str) -> None:
    """Ask a named Prefect for its version with the client that the flows use, which knows its credentials.

    Raises:
        ServiceError: it refuses the credentials, is of another major version, or does not answer as Prefect.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        with get_client(sync_client=True) as client:
            client.hello()
            client.raise_for_api_version_mismatch()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        hint = "; set PREFECT_API_KEY or PREFECT_API_AUTH_STRING" if status in (401, 403) else ""
        reason = f"HTTP {status}{hint}"
        raise no_answer("Prefect", "PREFECT_API_URL", url, reason, PREFECT_EMBEDDED) from error
    except (httpx.HTTPError, PrefectException, RuntimeError, ValueError, TypeError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise no_answer("Prefect", "PREFECT_API_URL", url, reason, PREFECT_EMBEDDED) from error


@contextmanager
def _prefect_settings() -> Iterator[None]:
    """Refresh Prefect's settings from the environment, and again at the end."""
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
    """Keep Prefect's account of a failure off the terminal: its API has it, and the command line prints the cause."""
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
    """Send the logs and events that wait, so that a server about to stop does not lose them."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    # A log line lost on the way out must not fail work that is done.
    with contextlib.suppress(Exception):
        APILogWorker.drain_all(timeout=10)
        EventsWorker.drain_all(timeout=10)


def mlflow_tracking_uri(workspace: Workspace) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite database of the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_mlflow(workspace)


def _embedded_mlflow(workspace: Workspace) -> str:
    return sqlite_url(workspace.mlflow / "mlflow.db")


def prepare_mlflow(workspace: Workspace) -> None:
    """Check the workspace's MLflow database and, where the workspace was moved, write the new places into it.

    Raises:
        ServiceError: the database is locked, damaged, not writable or of another version.
    """
    workspace.mlflow.mkdir(parents=True, exist_ok=True)
    database = workspace.mlflow / "mlflow.db"
    check_database(database, mlflow_schema())
    if changed := relocate_artifacts(database, workspace.mlflow / "artifacts"):
        _LOG.warning("the workspace was moved to %s: corrected %d addresses in %s", workspace.root, changed, database)


def mlflow_unusable(workspace: Workspace, uri: str, error: Exception) -> ServiceError:
    """Return the error for a tracking store that fails at the start: one that was named, or the workspace's own."""
    if uri != _embedded_mlflow(workspace):
        return no_answer("MLflow", "MLFLOW_TRACKING_URI", uri, str(error), MLFLOW_EMBEDDED)
    reason = " ".join(str(error).split())[:300]
    return ServiceError(
        f"MLflow: the database {workspace.mlflow / 'mlflow.db'} cannot be used ({reason}). Correct it, move it away, "
        "or give another folder with --workspace"
    )


@contextmanager
def mlflow_session(workspace: Workspace, *, debug: bool = False) -> Iterator[str]:
    """Provide a tracking store for the runs started inside; yield its URI."""
    uri = mlflow_tracking_uri(workspace)
    exempt_loopback(uri)
    if uri == _embedded_mlflow(workspace):
        prepare_mlflow(workspace)
    else:
        check_mlflow(uri)
    quiet = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # its progress bars would overwrite ours
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output carries results alone
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        # The defaults retry for minutes; an unreachable server must not delay the work (see mlflow_run).
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }
    with default_environment(quiet):
        import mlflow

        previous = mlflow.get_tracking_uri()
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)
        mlflow.set_tracking_uri(uri)
        try:
            # The first use of a database creates its tables: once here rather than in several workers at a time.
            mlflow.MlflowClient(uri).search_experiments(max_results=1)
        except Exception as error:
            raise mlflow_unusable(workspace, uri, error) from error
        try:
            yield uri
        finally:
            mlflow.set_tracking_uri(previous)
