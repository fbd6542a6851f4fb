"""Whether a named server answers."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from ssat.errors import ServiceError
from ssat.redaction import redacted, secrets_of, without_credentials

# Ports of addresses that leave theirs out.
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
    """The error for a server that was named by an environment variable and cannot be used."""
    return ServiceError(
        f"{service}: no usable answer from {variable}={without_credentials(address)} ({_shortened(reason, address)}). "
        f"Start that server or correct the address; unset {variable} to use {embedded}"
    )


def _shortened(reason: str, address: str) -> str:
    """`reason` without the address and its credentials: some clients repeat both in their messages."""
    parts = urlsplit(address)
    named = (name for name in (address, parts.netloc) if name != parts.hostname)
    return redacted(reason, *named, *secrets_of(address))[:300]


def assert_port_open(
    service: str, variable: str, address: str, embedded: str, within_s: float = ANSWER_WITHIN_S
) -> None:
    """Connects once to the host and port of `address`, trying again until `within_s` has passed.

    Raises:
        ServiceError: nobody listens there, or the address names no host.
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


def http_status(url: str, timeout_s: float = 5.0) -> int:
    """The HTTP status that a GET of `url` (http or https) answers with.

    Raises:
        OSError: no connection, or an answer that is not HTTP.
        ValueError: another scheme.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("expected an address that begins with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:  # noqa: S310 - the scheme is checked above
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except http.client.HTTPException as error:
        raise OSError(f"not an HTTP answer: {error!r}") from error
