"""What RAY_ADDRESS may lead to that is not the Ray server it has to be."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ssat.errors import ServiceError
from tasks import doctor
from tasks.ray_cluster import check_ray, ray_session


@contextmanager
def _web_server(host: str = "127.0.0.1") -> Iterator[int]:
    class Greets(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((host, 0), Greets) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextmanager
def _silent(host: str = "127.0.0.1") -> Iterator[int]:
    with socket.create_server((host, 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def _closed(host: str = "127.0.0.1") -> Iterator[int]:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
    yield port


@contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """Sends `answer` on every connection and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


@contextmanager
def _other_grpc() -> Iterator[int]:
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0)


_FOUND = "127.0.0.2"  # Ray replaces 127.0.0.1 by the machine's address in the network

SERVERS: dict[str, Callable] = {
    "web server": _web_server,
    "silent": _silent,
    "closed": _closed,
    "hangs up": lambda: _answering(b""),
    "redis": lambda: _answering(b"-ERR unknown command\r\n"),
    "another gRPC server": _other_grpc,
}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("web server", "localhost:{port}"),
        *((kind, form) for kind in SERVERS for form in ("127.0.0.1:{port}", "ray://127.0.0.1:{port}")),
    ],
)
def test_a_server_that_is_not_ray_is_an_error_within_ten_seconds(monkeypatch, kind, form):
    with SERVERS[kind]() as port:
        address = form.format(port=port)
        monkeypatch.setenv("RAY_ADDRESS", address)
        began = time.monotonic()
        with pytest.raises(ServiceError, match=f"RAY_ADDRESS={address}.*unset RAY_ADDRESS"), ray_session():
            pytest.fail("entered without a cluster")
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8265", "redis://127.0.0.1:6379", "127.0.0.1", "ray://", "host:x"]
)
def test_an_address_of_another_form_is_an_error(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ServiceError, match="RAY_ADDRESS"):
        check_ray(address)
    assert doctor.ray().state == "bad"


@contextmanager
def _left_behind(port: int, folder: Path) -> Iterator[None]:
    """What Ray's search for a running cluster finds: its address file, and a process of a node's name.

    With the process there is more than one where other clusters run, and then the file decides.
    """
    (folder / "ray").mkdir()
    (folder / "ray" / "ray_current_cluster").write_text(f"{_FOUND}:{port}")
    arguments = ["raylet", "-c", "import time; time.sleep(600)", f"--gcs-address={_FOUND}:{port}"]
    with subprocess.Popen(arguments, executable=sys.executable) as node:
        try:
            yield
        finally:
            node.kill()


def test_auto_that_leads_to_something_else_is_an_error(with_roster, tmp_path):
    with _silent(_FOUND) as port, _left_behind(port, tmp_path):
        ended = subprocess.run(
            [Path(sys.executable).with_name("ssat"), "decode", "--workspace", with_roster(tmp_path / "w")],
            env={**os.environ, "RAY_ADDRESS": "auto", "RAY_TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=100,  # Ray itself would wait for minutes
        )
    assert ended.returncode == 2, ended.stderr
    assert f"RAY_ADDRESS=auto: the Ray of this machine is said to be at {_FOUND}:{port}" in ended.stderr


@pytest.mark.parametrize("form", ["ray://127.0.0.1:{port}", "auto"])
def test_sigterm_ends_the_wait(with_roster, tmp_path, form):
    with _silent(_FOUND if form == "auto" else "127.0.0.1") as port, _left_behind(port, tmp_path):
        process = subprocess.Popen(
            [Path(sys.executable).with_name("ssat"), "decode", "--workspace", with_roster(tmp_path / "w")],
            env={**os.environ, "RAY_ADDRESS": form.format(port=port), "RAY_TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not _is_connected(process.pid, port):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 5
    assert "Traceback" not in errors


def _is_connected(process_id: int, port: int) -> bool:
    import psutil

    try:
        connections = psutil.Process(process_id).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(connection.raddr and connection.raddr.port == port for connection in connections)


@pytest.mark.integration
@pytest.mark.usefixtures("ray_cluster")
def test_the_control_service_of_a_cluster_is_recognised_and_is_no_client_server():
    import ray

    address = ray.get_runtime_context().gcs_address
    check_ray(address)
    with pytest.raises(
        ServiceError, match=r"another service answers on this port; ray:// is for port 10001|does not answer as Ray"
    ):
        check_ray(f"ray://{address}")
