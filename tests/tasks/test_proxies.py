"""A proxy of the environment and this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tasks.addresses import exempt_loopback, http_status, is_loopback

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy_yet(monkeypatch):
    for name in VARIABLES:
        for spelling in (name, name.upper()):
            # Set first, so that what a test's code sets is taken back.
            monkeypatch.setenv(spelling, "")
            monkeypatch.delenv(spelling)


@pytest.fixture
def server() -> Iterator[int]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def dead_proxy() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0"])  # noqa: S104
def test_no_client_uses_the_proxy_for_this_machine(monkeypatch, server, dead_proxy, name, host):
    import httpx
    import requests

    monkeypatch.setenv(name, dead_proxy)
    url = f"http://{host}:{server}/"
    if host == "127.0.0.2":
        url = f"http://127.0.0.1:{server}/"
    exempt_loopback(f"http://{host}:{server}")
    assert http_status(url) == 200
    assert httpx.get(url).status_code == 200
    assert requests.get(url, timeout=5).status_code == 200
    child = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)"
    assert subprocess.check_output([sys.executable, "-c", child, url], text=True) == "200\n"


def test_our_own_requests_need_no_variable(monkeypatch, server, dead_proxy):
    monkeypatch.setenv("http_proxy", dead_proxy)
    assert http_status(f"http://127.0.0.1:{server}/") == 200
    assert "no_proxy" not in os.environ


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"NO_PROXY": "intranet.example,[::1]"}, ["intranet.example", "::1", "localhost", "127.0.0.1"]),
        ({"no_proxy": ".example , host:8080"}, [".example", "host:8080", "::1", "localhost", "127.0.0.1"]),
    ],
)
def test_other_exemptions_are_kept_and_ours_are_added(monkeypatch, dead_proxy, before, after):
    monkeypatch.setenv("HTTPS_PROXY", dead_proxy)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    exempt_loopback()
    exempt_loopback()
    for name in ("NO_PROXY", "no_proxy"):
        listed = os.environ[name].split(",")
        assert set(after) <= set(listed)
        assert len(listed) == len(set(listed))


def test_nothing_is_set_without_a_proxy_and_a_star_stays_alone(monkeypatch, dead_proxy):
    exempt_loopback()
    assert "NO_PROXY" not in os.environ
    monkeypatch.setenv("HTTP_PROXY", dead_proxy)
    monkeypatch.setenv("NO_PROXY", "*")
    exempt_loopback()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "*"


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "::1", "[::1]", "a.localhost", "0.0.0.0"])  # noqa: S104
def test_addresses_of_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1", "localhost.example.com", ""])
def test_addresses_of_others(host):
    assert not is_loopback(host)


SESSIONS = """
import sys
from pathlib import Path
from ssat.workspace import Workspace
from tasks.mlflow_run import mlflow_run
from tasks.services import services

if __name__ == "__main__":
    workspace = Workspace.open(sys.argv[1])
    with services(workspace, prefect=True, mlflow=True, ray=sys.argv[2] == "ray"):
        from prefect import flow

        @flow
        def answer() -> int:
            if sys.argv[2] != "ray":
                return 42
            import ray

            @ray.remote
            def inner() -> int:
                return 42

            return ray.get(inner.remote())

        with mlflow_run(workspace, "e", "r", system_metrics=False):
            print(answer())
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("names", "scheme", "ray"),
    [
        (("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "grpc_proxy"), "http", True),
        (("all_proxy", "http_proxy", "https_proxy"), "socks5", False),
    ],
)
def test_the_embedded_services_start_and_work_behind_a_dead_proxy(tmp_path, dead_proxy, names, scheme, ray):
    (tmp_path / "sessions.py").write_text(SESSIONS)
    proxy = dead_proxy.replace("http:", f"{scheme}:")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PREFECT_", "MLFLOW_"))
    }
    ended = subprocess.run(
        [sys.executable, tmp_path / "sessions.py", tmp_path / "w", "ray" if ray else "no"],
        env={**environment, **dict.fromkeys(names, proxy), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.stdout.split() == ["42"], ended.stderr
