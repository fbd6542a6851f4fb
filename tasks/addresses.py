"""Whether a named server answers."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ssat.errors import ServiceError
from ssat.redaction import redacted, secrets_of, without_credentials

# Default ports.
_DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "postgresql": 5432,
    "mysql": 3306,
    "mssql": 1433,
    "ray": 10001,
}
ANSWER_WITHIN_S = 8.0


def no_answer(service: str, variable: str, address: str, reason: str, embedded: str) -> ServiceError:
    """Return the error for a server that was named by an environment variable and cannot be used."""
    return ServiceError(
        f"{service}: no usable answer from {variable}={without_credentials(address)} ({_shortened(reason, address)}). "
        f"Start that server or correct the address; unset {variable} to use {embedded}"
    )


def _shortened(reason: str, address: str) -> str:
    """`reason` without the address and its credentials: some clients repeat both in their messages."""
    parts = urlsplit(address)
    if parts.scheme.split("+")[0] == "sqlite":
        return redacted(reason)[:300]  # a path is no secret, and names the file at fault
    named = (name for name in (address, parts.netloc) if name != parts.hostname)
    return redacted(reason, *named, *secrets_of(address))[:300]


def assert_port_open(
    service: str, variable: str, address: str, embedded: str, within_s: float = ANSWER_WITHIN_S
) -> None:
    """Connect once to the host and port of `address`, trying again until `within_s` has passed.

    Raises:
        ServiceError: no server listens there, or the address names no host.
    """
    try:
        host, port = host_and_port(address)
    except ValueError as error:
        raise no_answer(service, variable, address, str(error), embedded) from error
    deadline = time.monotonic() + within_s
    while True:
        remaining = deadline - time.monotonic()
        try:
            with socket.create_connection((host, port), timeout=max(0.5, min(4.0, remaining))):
                return
        except socket.gaierror as error:
            raise no_answer(service, variable, address, f"unknown host {host}", embedded) from error
        except OSError as error:
            # A refused connection may be a server that is just starting: wait a little, not the whole time.
            refused_again = isinstance(error, ConnectionRefusedError) and remaining < within_s - 2.0
            if refused_again or time.monotonic() + 1.0 >= deadline:
                raise no_answer(service, variable, address, str(error) or "timed out", embedded) from error
            time.sleep(1.0)


def host_and_port(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or of a URL.

    Raises:
        ValueError: no host, or no port where the scheme implies none.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme.split("+")[0])
    if not parts.hostname or port is None:
        raise ValueError("expected host:port or a URL")
    return parts.hostname, port


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: `localhost`, an address of 127.0.0.0/8 or ::1, or 0.0.0.0."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


# Patterns of 127.0.0.0/8 are not understood by every client, so the addresses in use are listed.
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "127.0.0.2", "127.0.1.1")  # noqa: S104 - never bound to
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "grpc_proxy")


def exempt_loopback(*addresses: str) -> None:
    """Exempt this machine from the proxy of the environment, for this process and the processes that it starts.

    Adds loopback, and the hosts of `addresses` that are loopback, to NO_PROXY and no_proxy where a proxy variable is
    set. Brackets around IPv6 addresses are removed from the two lists: Prefect's HTTP client refuses them.
    """
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXY_VARIABLES):
        return
    hosts = [*_LOOPBACK]
    for address in addresses:
        try:
            host = urlsplit(address if "//" in address else f"//{address}").hostname
        except ValueError:
            continue  # the check of this address reports it
        if host and host not in hosts and is_loopback(host):
            hosts.append(host)
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        text = os.environ.get(name) or os.environ.get(other) or ""
        listed = [_without_brackets(entry.strip()) for entry in text.split(",") if entry.strip()]
        if "*" not in listed:
            listed += [host for host in hosts if host not in listed]
        os.environ[name] = ",".join(listed)


def _without_brackets(entry: str) -> str:
    return entry[1:-1] if entry.startswith("[") and entry.endswith("]") else entry


def http_status(url: str, timeout_s: float = 5.0) -> int:
    """Return the HTTP status that a GET of `url` (http or https) answers with. Raises as `http_answer`."""
    return http_answer(url, timeout_s).status


@dataclass(frozen=True)
class HttpAnswer:
    """Status and the first 64 KiB of the body of an HTTP response."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body parsed as JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def http_answer(url: str, timeout_s: float = 5.0) -> HttpAnswer:
    """Return the response to a GET of `url` (http or https). A proxy is not used for an address of this machine.

    Raises:
        OSError: no connection, an answer that is not HTTP, or one that takes longer than `timeout_s` seconds.
        ValueError: another scheme.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("expected an address that begins with http:// or https://")
    proxies = urllib.request.ProxyHandler({} if is_loopback(parts.hostname or "") else None)
    opener = urllib.request.build_opener(proxies)
    deadline = time.monotonic() + timeout_s
    try:
        with opener.open(url, timeout=timeout_s) as response:
            return HttpAnswer(int(response.status), _first_bytes(response, deadline))
    except urllib.error.HTTPError as error:
        with error:
            return HttpAnswer(error.code, b"")
    except http.client.HTTPException as error:
        raise OSError(f"not an HTTP answer: {error!r}") from error


def _first_bytes(response: Any, deadline: float, size: int = 1 << 16) -> bytes:
    """Up to `size` bytes. Raises TimeoutError if they arrive too slowly."""
    body = b""
    while len(body) < size and (part := response.read1(size - len(body))):
        body += part
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return body
