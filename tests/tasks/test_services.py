import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from flows.cli import run
from ssat.errors import InputError, ServiceError
from tasks.failures import unwrap
from tasks.services import check_named_services, mlflow_session, prefect_session, ray_session, services

VARIABLES = ("PREFECT_API_URL", "PREFECT_HOME", "RAY_ADDRESS", "MLFLOW_TRACKING_URI")


@pytest.fixture(autouse=True)
def no_named_services(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def wrong_server() -> Iterator[int]:
    """A web server that knows neither Prefect's nor MLflow's paths."""

    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("PREFECT_API_URL", "http://me:s3cret@127.0.0.1:{port}/api"),
        ("RAY_ADDRESS", "127.0.0.1:{port}"),
        ("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:{port}"),
        ("MLFLOW_TRACKING_URI", "postgresql://me:s3cret@127.0.0.1:{port}/mlflow"),
    ],
)
def test_a_named_server_that_does_not_answer_is_an_error_soon(monkeypatch, workspace, closed_port, variable, address):
    monkeypatch.setenv(variable, address.format(port=closed_port))
    began = time.monotonic()
    with (
        pytest.raises(ServiceError, match=f"{variable}=.*127.0.0.1:{closed_port}") as caught,
        services(workspace, prefect=True, ray=True, mlflow=True),
    ):
        pytest.fail("entered without the server that was named")
    assert time.monotonic() - began < 10
    assert "s3cret" not in str(caught.value)
    assert not list(workspace.root.iterdir())  # nothing was started beside the wrong address


def test_a_server_of_another_kind_is_not_taken_for_prefect_or_mlflow(monkeypatch, wrong_server):
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{wrong_server}")
    with pytest.raises(ServiceError, match="ends in /api"):
        check_named_services()
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{wrong_server}")
    with pytest.raises(ServiceError, match="HTTP 404"):
        check_named_services()


@contextmanager
def answering(bodies: dict[str, tuple[int, bytes]], other: tuple[int, bytes]) -> Iterator[str]:
    """A web server with these answers by path; yields its address."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = bodies.get(self.path, other)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("body", [b"<html>a page for every path</html>", b"", b'{"status": "ok"}', b"OK", b"\xff\xfe"])
def test_a_server_that_answers_200_to_everything_is_not_prefect(monkeypatch, capfd, with_roster, tmp_path, body):
    with answering({}, (200, body)) as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        assert run(["decode", "--workspace", str(with_roster(tmp_path / "w"))]) == 2
    first = capfd.readouterr().err.splitlines()[0]
    assert first.startswith(f"ssat: error: Prefect: no usable answer from PREFECT_API_URL={address}/api (its /health")


@pytest.mark.parametrize(
    ("version", "cause"),
    [
        ((200, b"true"), "PREFECT_API_URL"),
        ((200, b"<html>"), "PREFECT_API_URL"),
        ((200, b'"2.20.4"'), "incompatible"),
        ((401, b""), "HTTP 401; set PREFECT_API_KEY or PREFECT_API_AUTH_STRING"),
    ],
)
def test_a_server_that_looks_like_prefect_at_first_is_asked_for_its_version(monkeypatch, workspace, version, cause):
    health = {"/api/health": (200, b"true"), "/api/hello": (200, b'"hi"'), "/api/admin/version": version}
    with answering(health, (200, b"true")) as address:
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        with pytest.raises(ServiceError, match=cause), prefect_session(workspace):
            pytest.fail("entered without Prefect")


@pytest.mark.parametrize("body", [b"<html>a page for every path</html>", b"", b"true"])
def test_a_server_that_answers_200_to_everything_is_not_mlflow(monkeypatch, body):
    with answering({}, (200, body)) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(ServiceError, match=r"MLFLOW_TRACKING_URI.*/health"):
            check_named_services()


@pytest.mark.integration
@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:9", "ftp://proxy"])
def test_a_proxy_that_prefect_cannot_use_is_the_users_error(monkeypatch, workspace, prefect_server, proxy):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ServiceError, match=r"ALL_PROXY.*Correct or unset"), prefect_session(workspace):
        pytest.fail("entered")


def test_an_mlflow_store_of_a_kind_that_is_not_supported(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///tmp/mlruns")
    with pytest.raises(ServiceError, match="expected http"):
        check_named_services()


def test_embedded_mlflow_keeps_its_database_in_the_workspace_and_leaves_no_trace_in_the_environment(workspace):
    import mlflow

    with mlflow_session(workspace) as uri:
        assert uri == f"sqlite:///{workspace.mlflow / 'mlflow.db'}"
        assert os.environ["MLFLOW_TRACKING_URI"] == uri == mlflow.get_tracking_uri()
        assert (workspace.mlflow / "mlflow.db").is_file()
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.integration
def test_embedded_prefect_runs_flows_and_hands_on_their_errors(workspace, capfd):
    from prefect import flow, task

    @task
    def half(value: int) -> float:
        if value % 2:
            raise InputError("odd")
        return value / 2

    @flow
    def halves(values: list[int]) -> list[float]:
        return [half(value) for value in values]

    with prefect_session(workspace) as url:
        from prefect.client.orchestration import get_client

        assert halves([2, 4]) == [1.0, 2.0]
        with pytest.raises(InputError, match="odd"):
            halves([2, 3])
        with get_client(sync_client=True) as client:
            assert str(client.api_url).rstrip("/") == url
            states = sorted(run.state_type.value for run in client.read_flow_runs())
        assert states == ["COMPLETED", "FAILED"]
    assert (workspace.root / "prefect" / "prefect.db").is_file()
    assert "PREFECT_API_URL" not in os.environ
    output, errors = capfd.readouterr()
    assert output == ""
    assert "Traceback" not in errors
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0])), timeout=2)


@pytest.mark.integration
def test_the_embedded_prefect_server_ends_with_a_process_that_is_killed(workspace):
    script = (
        "import sys, time\n"
        "from ssat.workspace import Workspace\n"
        "from tasks.prefect_server import PrefectServer\n"
        "server = PrefectServer(Workspace.open(sys.argv[1]).root / 'prefect')\n"
        "server.start()\n"
        "print(server._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(workspace.root)], stdout=subprocess.PIPE)
    server = int(process.stdout.readline())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 180
    while _alive(server):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.2)


def _alive(process_id: int) -> bool:
    import psutil

    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.integration
def test_local_ray_has_room_for_two_workers_and_hands_on_errors(ray_cluster, capfd):
    import ray

    with ray_session():  # a second one inside uses the first
        assert ray.cluster_resources()["CPU"] >= 2

        @ray.remote
        def package() -> str:
            import tasks.services

            print("a worker's words")
            return tasks.services.__name__

        @ray.remote
        def fails() -> None:
            raise InputError("clip 7 cannot be used")

        assert ray.get(package.remote()) == "tasks.services"
        with pytest.raises(Exception, match="clip 7") as caught:
            ray.get(fails.remote())
    assert ray.is_initialized()
    cause = unwrap(caught.value)
    assert type(cause) is InputError
    assert str(cause) == "clip 7 cannot be used"
    assert "a worker's words" not in capfd.readouterr().out


@pytest.mark.integration
@pytest.mark.parametrize("first", ["", "import ray\n"])
def test_a_process_may_start_one_local_ray_after_another(tmp_path, first):
    script = (
        f"{first}from tasks.services import ray_session\n"
        "for _ in range(2):\n"
        "    with ray_session():\n"
        "        import ray\n"
        "        print(ray.cluster_resources()['CPU'] >= 2)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert ended.stdout.split() == ["True", "True"], ended.stderr
