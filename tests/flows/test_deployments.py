"""Deployments on a real Prefect server, served by the real command, driven through its API as its page does."""

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ssat.clips.roster import load_roster
from ssat.clips.run_facts import COLLECTOR_LOCK
from ssat.clips.status import load_status
from ssat.demo.settings import DemoSettings
from ssat.demo.world import write_clips
from ssat.locks import holder
from ssat.workspace import Workspace, sha256_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

_WORLD = DemoSettings(clips=24, clip_seconds=3.0)
_RENDERED = range(6)
_PATIENCE_S = 240.0


class _Site:
    """Serves a folder, each file only after `delay_s`; takes POSTs as a webhook."""

    def __init__(self, folder: Path) -> None:
        self.delay_s = 0.0
        self.told: list[dict[str, Any]] = []
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                time.sleep(site.delay_s)
                super().do_GET()

            def do_POST(self) -> None:
                site.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[_Site]:
    folder = tmp_path_factory.mktemp("site")
    listed = write_clips(folder, _WORLD, only=_RENDERED)
    listed.write_text("".join(listed.read_text().splitlines(keepends=True)[: 1 + len(_RENDERED)]))
    site = _Site(folder)
    yield site
    site.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory, prefect_server, site) -> Iterator[SimpleNamespace]:
    """`ssat serve` of collect and verify on the tests' server; its output goes to a file."""
    from prefect.client.orchestration import get_client

    folder = tmp_path_factory.mktemp("served")
    listed = folder / "list.csv"
    listed.write_text((_clips_csv(site)).read_text())
    config = folder / "ssat.toml"
    config.write_text(
        f'[collect]\nsource = "{listed}"\nurl_template = "{site.address}/{{clip_id}}.mp4"\nclips = 6\n'
        "shard_size = 1\ndownloads = 1\nworkers = 1\nmin_seconds = 1\nclip_seconds = 3\nencoder_preset = 'ultrafast'\n"
    )
    command = [sys.executable, "-c", "from flows.cli import main; main()", "serve", "collect", "verify", "--json"]
    command += ["--workspace", str(folder / "workspace"), "--config", str(config)]
    log = folder / "serve.log"
    environment = {**os.environ, "SSAT_WEBHOOK_URL": f"{site.address}/hooks/SECRETPART"}
    environment |= {"PREFECT_RUNNER_POLL_FREQUENCY": "2", "PREFECT_LOGGING_LEVEL": "DEBUG"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, env=environment)
        try:
            line = json.loads(process.stdout.readline())
            assert line["deployments"] == ["collect/ssat", "verify/ssat"]
            with get_client(sync_client=True) as client:
                yield SimpleNamespace(
                    client=client,
                    workspace=Workspace.open(folder / "workspace"),
                    listed=listed,
                    site=site,
                    log=log,
                    folder=folder,
                )
        finally:
            process.terminate()
            process.wait(60)


def _clips_csv(site: _Site) -> Path:
    return Path(site._server.RequestHandlerClass.keywords["directory"]) / "clips.csv"  # type: ignore[attr-defined]


def _start(served: SimpleNamespace, name: str, **parameters: Any) -> Any:
    deployment = served.client.read_deployment_by_name(name)
    return served.client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id


def _until(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.5)
    return found


def _ended(served: SimpleNamespace, run: Any, *types: str) -> Any:
    def state() -> Any:
        found = served.client.read_flow_run(run).state
        return found if found.type.value in (types or ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")) else None

    return _until(state, f"end of the run among {types}; see {served.log}")


def _collecting(served: SimpleNamespace) -> None:
    _until(lambda: load_status(served.workspace).num_rows >= 1, "first clip")


def _consistent(workspace: Workspace) -> None:
    _until(lambda: holder(workspace.clips, COLLECTOR_LOCK) is None, "end of the collector")
    roster = load_roster(workspace)
    digests = [sha256_of(workspace.absolute(path)) for path in roster["path"].to_pylist()]
    assert digests == roster["sha256"].to_pylist()
    assert len(set(roster["clip_id"].to_pylist())) == roster.num_rows


def test_a_cancelled_run_leaves_the_workspace_whole_and_the_next_completes_it(served):
    from prefect.client.schemas.objects import StateType
    from prefect.states import State

    served.site.delay_s = 1.5
    first = _start(served, "collect/ssat")
    _collecting(served)
    overlapping = _start(served, "collect/ssat")
    assert _ended(served, overlapping).type.value == "CANCELLED", "no two runs of a deployment at the same time"
    served.client.set_flow_run_state(first, State(type=StateType.CANCELLING))
    assert _ended(served, first).type.value == "CANCELLED"
    _consistent(served.workspace)
    before = load_roster(served.workspace).num_rows
    assert 1 <= before < len(_RENDERED)

    served.site.delay_s = 0.0
    state = _ended(served, _start(served, "collect/ssat"))
    assert (state.type.value, state.message) == ("COMPLETED", "6 clips")
    _consistent(served.workspace)
    status = load_status(served.workspace)
    assert status["clip_id"].to_pylist().count(load_roster(served.workspace)["clip_id"][0].as_py()) == 1, "not twice"


def test_a_suspended_run_stops_between_shards_and_goes_on_when_it_is_resumed(served):
    from prefect.client.schemas.objects import StateDetails, StateType
    from prefect.states import State

    place = served.folder / "suspended"
    served.site.delay_s = 1.5
    run = _start(served, "collect/ssat", workspace=str(place))
    opened = Workspace.open(place)
    _until(lambda: load_status(opened).num_rows >= 1, "first clip")
    # As the page's button says it.
    later = datetime.now(UTC) + timedelta(hours=1)
    details = StateDetails(pause_reschedule=True, pause_timeout=later)
    served.client.set_flow_run_state(run, State(type=StateType.PAUSED, name="Suspended", state_details=details))
    _consistent(opened)
    assert load_roster(opened).num_rows < len(_RENDERED)
    assert served.client.read_flow_run(run).state.type.value == "PAUSED"
    served.site.delay_s = 0.0
    served.client.resume_flow_run(run)
    state = _ended(served, run)
    assert (state.type.value, state.message) == ("COMPLETED", "6 clips")
    assert load_roster(opened).num_rows == len(_RENDERED)


def test_a_failure_is_one_clear_message_the_webhook_is_told_and_retry_completes(served):
    from prefect.states import AwaitingRetry

    place = served.folder / "retried"
    hidden = served.listed.rename(served.listed.with_suffix(".hidden"))
    run = _start(served, "collect/ssat", workspace=str(place))
    state = _ended(served, run)
    assert state.type.value == "FAILED"
    assert str(served.listed) in state.message
    assert "Traceback" not in state.message
    assert "encountered an exception" not in state.message
    told = _until(lambda: [one for one in served.site.told if one["event"] == "failed"], "word of the failure")
    assert told[0]["flow"] == "collect"
    assert str(served.listed) in told[0]["text"]
    hidden.rename(served.listed)
    served.client.set_flow_run_state(run, AwaitingRetry())
    assert _ended(served, run, "COMPLETED", "CRASHED").type.value == "COMPLETED"
    assert "SECRETPART" not in served.log.read_text(errors="replace")
    logs = [log.message for log in served.client.read_logs()]
    assert not any("SECRETPART" in message for message in logs)


def test_settings_that_do_not_fit_are_refused_when_a_run_is_asked_for(served):
    from prefect.exceptions import PrefectHTTPStatusError

    with pytest.raises(PrefectHTTPStatusError, match=r"clipz|409|422"):
        _start(served, "collect/ssat", settings={"clipz": 3})


def test_deploying_again_keeps_what_a_person_switched_off(prefect_server, tmp_path, monkeypatch):
    from prefect.client.orchestration import get_client

    from flows.deployment_file import prefect_file
    from flows.registration import build_deployments, read_entries, register

    path = prefect_file(None)
    entries = read_entries(path, ["verify"])

    def deploy() -> None:
        made = build_deployments(path, entries, str(tmp_path / "workspace"), "quick", {}, work_pool=True)
        register(entries, made)

    deploy()
    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name("verify/ssat")
        assert found.work_pool_name == "ssat"
        assert client.read_work_pool("ssat").type == "process"
        assert found.entrypoint == "flows.deployments.verify"
        assert found.concurrency_options.collision_strategy.value == "CANCEL_NEW"
        [schedule] = found.schedules
        assert (schedule.active, schedule.schedule.timezone) == (True, "Europe/Berlin")
        client.update_deployment_schedule(found.id, schedule.id, active=False)
        deploy()
        [schedule] = client.read_deployment_by_name("verify/ssat").schedules
        assert not schedule.active
