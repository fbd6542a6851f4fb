"""The egress on a real Prefect server: made if missing, shared, strict."""

import threading
import time
import uuid

import pytest

from ssat.clips.settings import CollectSettings
from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks.egress import PrefectEgress

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("prefect_server")]


def egress(workspace: Workspace, name: str, per_hour: int = 7200) -> PrefectEgress:
    return PrefectEgress(workspace, CollectSettings(egress=name, requests_per_hour=per_hour, jitter_seconds=0))


def test_two_workers_share_one_rate_and_one_breaker(workspace: Workspace, tmp_path) -> None:
    from prefect.client.orchestration import get_client

    name = uuid.uuid4().hex[:8]
    first, second = egress(workspace, name), egress(Workspace.open(tmp_path / "other"), name)
    assert (first.pause_s(), second.pause()) == (0, "")
    never, times = threading.Event(), []

    def ask(one: PrefectEgress) -> None:
        for _ in range(3):
            one.wait(never)
            times.append(time.monotonic())

    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One slot that comes back after half a second: six requests take at least five of them, whoever asks.
    assert len(times) == 6
    assert max(times) - began >= 2.25
    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name(f"ssat-egress-{name}")
    assert (limit.limit, limit.slot_decay_per_second) == (1, 2.0)

    first.open(3600, "HTTP 429")
    third = egress(Workspace.open(tmp_path / "third"), name)
    assert 3590 < third.pause_s() <= 3600
    assert "too many requests (HTTP 429): downloads pause until" in third.pause()
    # A shorter pause does not end a longer one, and another egress goes on.
    third.open(1, "again")
    assert first.pause_s() > 3500
    assert egress(workspace, f"{name}-b").variable != first.variable
    assert egress(Workspace.open(tmp_path / "fourth"), f"{name}-b").pause_s() == 0
    # Found again by a run on another server: the workspace has it too.
    assert egress(workspace, f"{name}-c").pause_s() > 3500


def test_a_limit_that_limits_nothing_or_vanishes_is_an_error(workspace: Workspace) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    name = uuid.uuid4().hex[:8]
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=f"ssat-egress-{name}", limit=5))
        with pytest.raises(ServiceError, match="without slot decay"):
            egress(workspace, name).wait(threading.Event())
        one = egress(workspace, f"{name}-b")
        one.wait(threading.Event())
        client.delete_global_concurrency_limit_by_name(one.limit)
        with pytest.raises(ServiceError, match=f"limit {one.limit} gave no slot"):
            one.wait(threading.Event())


def test_a_stop_ends_the_wait(workspace: Workspace) -> None:
    one = egress(workspace, uuid.uuid4().hex[:8], per_hour=1)
    stopped = threading.Event()
    one.wait(stopped)
    threading.Timer(0.5, stopped.set).start()
    began = time.monotonic()
    one.wait(stopped)
    assert time.monotonic() - began < 5
