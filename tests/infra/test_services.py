"""The services of `make services`, all of them: the pipeline as deployments on them, and their pages in a browser.

With SSAT_SCREENSHOTS=FOLDER pictures of the pages are kept there; those of docs/images were made so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.drills import world
from infra.services.definitions import NAMES, RAY_NODES
from infra.services.stack import Stack, running

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3000)]

_PATIENCE_S = 900.0
_CONFIG = """\
[collect]
source = "{base}/world/clips"
clips = {clips}
clip_seconds = 3
downloads = 1
[decode]
shard_clips = 4
short_side = 64
[train]
crop = 32
short_side = 40
early_crop = 32
frames_per_clip = 16
held_out_clips = 2
batch_size = 8
epochs = 1
workers = 2
device = "cpu"
[benchmark]
mot = "{base}/world/mot"
split = "train"
video = false
"""


@pytest.fixture(scope="module")
def stack(services_folder: Path) -> Iterator[Stack]:
    """All services on free ports, with the pipeline registered on them."""
    base = services_folder
    with running(base / "services") as stack:
        world.render(base / "world")
        (base / "ssat.toml").write_text(_CONFIG.format(base=base, clips=world.CLIPS))
        command = [sys.executable, "-c", "from flows.cli import main; main()", "deploy", *world.STAGES, "--json"]
        command += ["--workspace", str(base / "workspace"), "--config", str(base / "ssat.toml")]
        done = subprocess.run(command, env=world.environment(stack), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout.splitlines()[-1])["deployments"]
        assert [row["deployment"] for row in rows] == [f"{stage}/ssat" for stage in world.STAGES]
        yield stack


def _run(prefect: httpx.Client, flow: str, log: Path) -> dict[str, Any]:
    """Runs a deployment to its end."""
    deployment = prefect.get(f"/deployments/name/{flow}/ssat").raise_for_status().json()
    run = prefect.post(f"/deployments/{deployment['id']}/create_flow_run", json={}).raise_for_status().json()
    deadline = time.monotonic() + _PATIENCE_S
    while run["state_type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
        assert time.monotonic() < deadline, f"{flow} is {run['state_type']}; {log.read_text()[-2000:]}"
        time.sleep(1)
        run = prefect.get(f"/flow_runs/{run['id']}").raise_for_status().json()
    assert run["state_type"] == "COMPLETED", f"{flow}: {run['state']['message']}; {log.read_text()[-2000:]}"
    return run


def test_the_pipeline_runs_as_deployments_on_two_nodes(stack: Stack) -> None:
    assert all(stack.answers(name) for name in NAMES)
    assert len(stack.live_ray_nodes()) == len(RAY_NODES)
    workspace = stack.root.parent / "workspace"
    with httpx.Client(base_url=f"{stack.page('prefect')}/api", timeout=30) as prefect:
        runs = {stage: _run(prefect, stage, stack.log("prefect-worker")) for stage in world.STAGES}
        artifacts = prefect.post("/artifacts/filter", json={}).raise_for_status().json()
    assert {artifact["flow_run_id"] for artifact in artifacts} >= {runs["collect"]["id"], runs["benchmark"]["id"]}
    found = world.fingerprint(workspace)
    assert found["frames"][1] > 0
    assert set(found["scores"]) >= {"mota", "idf1", "idsw"}
    (trained,) = workspace.glob("training/*/result.json")
    assert json.loads(trained.read_text())["settings"]["workers"] == 2  # one on each node: a node has half the cores

    with httpx.Client(base_url=stack.page("mlflow"), timeout=30) as mlflow:
        refused = mlflow.get("/api/2.0/mlflow/registered-models/get", params={"name": "ssat-embedder"})
        assert refused.status_code == 401
        mlflow.auth = stack.mlflow_login()
        answer = mlflow.get("/api/2.0/mlflow/registered-models/get", params={"name": "ssat-embedder"})
        (version,) = answer.raise_for_status().json()["registered_model"]["latest_versions"]
        artifacts = mlflow.get("/api/2.0/mlflow/artifacts/list", params={"run_id": version["run_id"]})
        assert {row["path"] for row in artifacts.raise_for_status().json()["files"]} >= {"pictures", "checkpoint"}
    assert httpx.get(f"{stack.page('ray')}/api/v0/nodes", timeout=30).status_code in (401, 403)


def test_the_pages_show_it(stack: Stack, browser: Any) -> None:
    browser.set_window_size(1400, 900)
    browser.get(f"{stack.page('prefect')}/runs")
    _shows(browser, "prefect", "train", "benchmark")
    # The login by the address; what the page itself asks afterwards must not carry it there.
    user, password = stack.mlflow_login()
    browser.get(stack.page("mlflow").replace("://", f"://{user}:{password}@"))
    browser.get(f"{stack.page('mlflow')}/#/models/ssat-embedder")
    _shows(browser, "mlflow", "ssat-embedder", "Version 1")
    browser.get(stack.page("ray"))
    browser.add_cookie({"name": "ray-authentication-token", "value": stack.ray_token()})
    browser.get(f"{stack.page('ray')}/#/cluster")
    browser.refresh()
    _shows(browser, "ray", "ALIVE")


def _shows(browser: Any, name: str, *texts: str, within_s: float = 90.0) -> None:
    """Waits until the page shows every text; it draws itself bit by bit."""
    deadline = time.monotonic() + within_s
    while missing := [text for text in texts if text not in browser.find_element("tag name", "body").text]:
        assert time.monotonic() < deadline, f"{name} does not show {missing}"
        time.sleep(0.3)
    if folder := os.environ.get("SSAT_SCREENSHOTS"):
        time.sleep(3)  # curves are drawn after the words
        assert browser.save_screenshot(str(Path(folder) / f"page-{name}.png"))
