"""The counters reach Ray's own metrics endpoint, by the names that the dashboard reads."""

import time
import urllib.request

import pytest

from tasks.metrics import ATTEMPTED_CLIPS, COUNTERS, FAILURES, count, counted


def test_without_ray_nothing_is_counted_and_nothing_fails(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with counted():
        count(ATTEMPTED_CLIPS, 3)
    with pytest.raises(KeyError):
        count("no such counter")


def test_a_cluster_that_does_not_answer_does_not_stop_the_work(monkeypatch, caplog):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with counted():
        count(ATTEMPTED_CLIPS)
    assert "no counters for the monitoring" in caplog.text


@pytest.mark.integration
def test_counters_stand_on_the_metrics_endpoint_of_the_node(ray_cluster):
    import ray

    for name in COUNTERS:
        # A kind of its own: other tests count on the same Ray.
        tags = {"stage": "collect", "kind": "OF_THIS_TEST"} if name == FAILURES else {}
        count(name, 5, **tags)
        count(name, 0, **tags)
    port = ray.nodes()[0]["MetricsExportPort"]
    wanted = {f"ray_{name}_total" for name in COUNTERS} | {"ray_node_cpu_utilization", "ray_node_disk_free"}
    deadline = time.monotonic() + 120
    missing, ours = wanted, []
    while (missing or not ours) and time.monotonic() < deadline:
        time.sleep(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        missing = wanted - {line.split("{")[0] for line in lines}
        ours = [line for line in lines if line.startswith("ray_ssat_fail") and 'kind="OF_THIS_TEST"' in line]
    assert not missing
    assert [line.rsplit(" ")[-1] for line in ours] == ["5.0"]
