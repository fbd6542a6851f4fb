import socket
import time
from collections.abc import Iterator

import pytest

from ssat.errors import ServiceError
from ssat.redaction import without_credentials
from tasks.addresses import assert_port_open, host_and_port, http_status, no_answer


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:s3cret@host:4200/api?key=s3cret#x", "https://host:4200/api?…"),
        ("postgresql://u:p@db/mlflow", "postgresql://db/mlflow"),
        ("host:6379", "host:6379"),
        ("u:p@host:6379", "host:6379"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_addresses_are_shown_without_credentials(address, shown):
    assert without_credentials(address) == shown


def test_the_error_names_variable_and_address_but_no_credentials():
    address = "http://me:s3cret@host:5000/?token=s3cret"
    error = no_answer("MLflow", "MLFLOW_TRACKING_URI", address, f"cannot reach {address}", "SQLite")
    assert "MLFLOW_TRACKING_URI=http://host:5000/" in str(error)
    assert "unset MLFLOW_TRACKING_URI to use SQLite" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host:6379", ("host", 6379)),
        ("ray://host", ("host", 10001)),
        ("https://host/api", ("host", 443)),
        ("postgresql+psycopg2://u:p@host/x", ("host", 5432)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_host_and_port(address, expected):
    assert host_and_port(address) == expected


@pytest.mark.parametrize("address", ["host", "", "http://", "host:port"])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(ServiceError, match="PREFECT_API_URL"):
        assert_port_open("Prefect", "PREFECT_API_URL", address, "the embedded one")


def test_a_closed_port_is_reported_within_ten_seconds(closed_port):
    began = time.monotonic()
    with pytest.raises(ServiceError, match="refused"):
        assert_port_open("Ray", "RAY_ADDRESS", f"127.0.0.1:{closed_port}", "a local Ray")
    assert time.monotonic() - began < 10


def test_a_server_that_never_answers_is_no_http_server(silent_port):
    with pytest.raises(OSError, match="timed out"):
        http_status(f"http://127.0.0.1:{silent_port}/health", timeout_s=0.3)


def test_only_http_addresses_are_asked():
    with pytest.raises(ValueError, match="http"):
        http_status("file:///etc/passwd")
