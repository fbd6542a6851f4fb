"""Ray for the time of one command: a local cluster, or the one that RAY_ADDRESS names."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.addresses import assert_port_open, exempt_loopback, host_and_port, no_answer
from tasks.environment import available_cpus, default_environment
from tasks.halt import terminable

RAY_EMBEDDED = "a local Ray"
_VARIABLE = "RAY_ADDRESS"
_OBJECT_STORE_BYTES = 512 * 1024**2
_RAY_STARTS = 2
_CHECK_WITHIN_S = 6.0
# A call that only Ray answers, by kind of server: method, and the request as bytes (none, or ClusterInfoType.PING).
_CONTROL_SERVICE = ("/ray.rpc.NodeInfoGcsService/CheckAlive", b"")
_CLIENT_SERVER = ("/ray.rpc.RayletDriver/ClusterInfo", b"\x08\x06")


def check_ray(address: str) -> None:
    """Ask the Ray cluster at `address` (the value of RAY_ADDRESS) for an answer; SIGTERM ends the wait.

    Asked before `ray.init`, which waits for minutes, deaf to signals, for a server that is not Ray.

    Raises:
        ServiceError: no Ray answers there within ten seconds; says what does, if anything.
    """
    if address == "local":
        return
    with terminable():
        if address != "auto":
            _ask_ray(address)
            return
        found = _running_cluster()
        if not found:
            raise no_answer("Ray", _VARIABLE, address, "no Ray runs on this machine", RAY_EMBEDDED)
        try:
            _ask_ray(found)
        except ServiceError as error:
            reason = f"the Ray of this machine is said to be at {found}. {error}"
            raise ServiceError(f"Ray: {_VARIABLE}=auto: {reason}") from error


def _ask_ray(address: str) -> None:
    scheme, separator, _ = address.partition("://")
    if separator and scheme != "ray":
        expected = f"{scheme}:// is not an address of a cluster; expected HOST:6379, ray://HOST:10001, auto or local"
        raise no_answer("Ray", _VARIABLE, address, expected, RAY_EMBEDDED)
    began = time.monotonic()
    assert_port_open("Ray", _VARIABLE, address, RAY_EMBEDDED)
    if reason := _what_answers(address, max(2.0, _CHECK_WITHIN_S - (time.monotonic() - began))):
        raise no_answer("Ray", _VARIABLE, address, reason, RAY_EMBEDDED)


def _running_cluster() -> str | None:
    """`host:port` of the cluster on this machine, as Ray itself finds it for the address "auto"."""
    from ray._private.services import canonicalize_bootstrap_address

    before = os.environ.pop(_VARIABLE, None)  # the value "auto" would be mistaken for an address
    try:
        return canonicalize_bootstrap_address("auto")
    except (OSError, ValueError):
        return None
    finally:
        if before is not None:
            os.environ[_VARIABLE] = before


def _what_answers(address: str, within_s: float) -> str:
    """Return why the server at `address` is not the Ray server that it has to be; an empty text if it is."""
    import grpc

    host, port = host_and_port(address)
    client = urlsplit(address).scheme == "ray"
    method, request = _CLIENT_SERVER if client else _CONTROL_SERVICE
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with _channel(target) as channel:
        try:
            channel.unary_unary(method)(request, timeout=within_s)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return ""  # Ray, which requires a token; ray.init reports a wrong one
            if code is grpc.StatusCode.UNIMPLEMENTED:
                other = (
                    "ray:// is for port 10001, not 6379" if client else "HOST:6379 is the head; port 10001 needs ray://"
                )
                return f"another service answers on this port; {other}"
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"something accepts connections there, but it does not answer as Ray within {within_s:.0f} s"
            return f"it does not answer as Ray: {code.name.lower()}"
    return ""


def _channel(target: str) -> Any:
    import grpc

    options = [("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 1000)]
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return grpc.insecure_channel(target, options=options)
    names = ("RAY_TLS_CA_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_SERVER_CERT")
    try:
        files = [Path(os.environ[name]).read_bytes() for name in names]
    except (KeyError, OSError) as error:
        raise ServiceError(f"Ray: RAY_USE_TLS needs the files of {', '.join(names)}: {error}") from error
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(*files), options=options)


@contextmanager
def ray_session(workspace: Workspace | None = None, *, debug: bool = False) -> Iterator[None]:
    """Connect to the Ray cluster that RAY_ADDRESS names, or start a local one that ends with this context.

    The local cluster counts at least two CPUs, so that two data-parallel workers fit on any machine. `workspace` is
    accepted for symmetry with the other sessions: Ray keeps nothing in it.

    Raises:
        ServiceError: RAY_ADDRESS names no Ray cluster that answers within ten seconds, or one without nodes, or the
            local cluster does not start.
    """
    address = os.environ.get("RAY_ADDRESS")
    named = bool(address) and address != "local"
    exempt_loopback(address or "")
    if named and address:
        check_ray(address)
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # How many seconds Ray waits for its own processes: 20 and 5 by default, too few for a machine under load.
        "RAY_NUM_REDIS_GET_RETRIES": "120",
        "RAY_gcs_rpc_server_connect_timeout_s": "60",
        # And its node for the agent that answers for metrics, milliseconds: 15,000 by default.
        "RAY_agent_register_timeout_ms": "120000",
    }
    if not named:
        # No preemption on a local machine: without the watch for it each training starts one process less.
        quiet |= {**_ray_authentication(), "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
        quiet["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"  # the end of a training is seen up to 2 s late by default
    with ExitStack() as stack:
        stack.enter_context(default_environment(quiet))
        import ray

        if ray.is_initialized():
            yield
            return
        level = logging.INFO if debug else logging.CRITICAL
        options: dict[str, Any] = {"logging_level": level, "log_to_driver": debug}
        if named:
            options |= {"address": address, "runtime_env": {"py_modules": _own_packages()}}
        else:
            # Paths of sockets below this folder must stay under 107 characters, for any TMPDIR and workspace.
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
                with terminable():
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
            # Ray installs its own signal handler, which would end a command with another exit code.
            signal.signal(signal.SIGTERM, handler)
        if not any(node["Alive"] for node in ray.nodes()):
            raise no_answer("Ray", "RAY_ADDRESS", str(address), "the cluster has no live node", RAY_EMBEDDED)
        yield


def _ray_authentication() -> dict[str, str]:
    """Set the token authentication of a local cluster's processes, in agreement with this process.

    Token authentication is on by default; a token of this process alone spares the file in the home folder. Ray fixes
    its mode when it is imported: where a caller did that before, a token would only lock this process out.
    """
    if "ray" in sys.modules:
        from ray._raylet import AuthenticationMode, get_authentication_mode  # type: ignore[attr-defined]

        if get_authentication_mode() == AuthenticationMode.DISABLED:
            return {"RAY_AUTH_MODE": "disabled"}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _process_token()}


@cache
def _process_token() -> str:
    """Return one token for every local cluster of this process: Ray reads it once and keeps it."""
    return secrets.token_hex(32)


def _own_packages() -> list[str]:
    """Return the folders of this project's packages, which travel to the workers of a cluster on other machines."""
    root = Path(__file__).resolve().parents[1]
    return [str(root / name) for name in ("ssat", "tasks", "flows")]
