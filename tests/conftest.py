"""Fixtures that several folders of tests share."""

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from ssat.workspace import Workspace

_PROJECT = Path(__file__).resolve().parents[1]

# Read when torch and its like are imported. The test processes fill the cores; threads of each would wait for another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray fixes its authentication when it is imported, which any test may be the first to do: one token for all of them.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with integration tests first: they take minutes, and the last one to begin keeps the others waiting."""
    slow = {item.path for item in items if item.get_closest_marker("integration")}
    for item in items:
        # They start servers and processes, which on a machine with other work takes several times as long as else.
        if item.get_closest_marker("integration") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The evaluation data, by SSAT_REAL_DATA or beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SSAT_REAL_DATA", _PROJECT.parent / "shared" / "data"))
    if not (folder / "mot").is_dir():
        pytest.skip(f"no evaluation data at {folder}; set SSAT_REAL_DATA")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Prefect server for all tests that run flows; `services(...)` and child processes connect to it."""
    from tasks.services import prefect_session

    with prefect_session(Workspace.open(tmp_path_factory.mktemp("prefect"))) as url:
        yield url


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One real local Ray for all tests of this process that need it; `services(ray=True)` uses it."""
    from tasks.services import ray_session

    with ray_session():
        yield


@pytest.fixture
def browser(chromium_session: Any) -> Iterator[Any]:
    """A headless Chromium, driven by Selenium, on an empty page and with an empty log."""
    yield chromium_session
    chromium_session.get("about:blank")
    chromium_session.get_log("browser")  # reading it empties it; it would be the next test's


@pytest.fixture(scope="session")
def chromium_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What `browser` is, one for all tests of this process; they are skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver; infra/system-packages.sh installs them where it can")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.set_page_load_timeout(120)
    yield started
    started.quit()


@pytest.fixture(scope="module")
def object_store() -> Iterator[dict[str, str]]:
    """A local S3-compatible server with an empty bucket "bucket"; the environment, also this process's, reaches it."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    from ssat.remote import filesystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    filesystem.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        made = fs.S3FileSystem(allow_bucket_creation=True, endpoint_override=f"{host}:{port}", scheme="http")
        made.create_dir("bucket")
        yield environment
    filesystem.cache_clear()
    server.stop()


@pytest.fixture(scope="session")
def make_sequence() -> Callable[..., Path]:
    """Writes a MOTChallenge sequence of coloured figures that walk across a noisy ground: folder → its path."""
    return _write_sequence


def _write_sequence(
    parent: Path, name: str = "WALK-01", *, n_frames: int = 12, images: bool = True, pace: int = 4
) -> Path:
    """Three figures of 24 x 60 pixels on 320 x 200; one is missed in frame 4, a false alarm in frame 5.

    They walk `pace` pixels a frame.
    """
    rng = np.random.default_rng(7)
    ground = rng.integers(60, 120, (200, 320, 3), dtype=np.uint8)
    faces = rng.integers(0, 256, (3, 60, 24, 3), dtype=np.uint8)
    folder = parent / name
    for part in ("det", "gt", *(("img1",) if images else ())):
        (folder / part).mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate=10\nseqLength={n_frames}\n"
        "imWidth=320\nimHeight=200\nimExt=.jpg\n"
    )
    truth, detections = [], []
    for frame in range(1, n_frames + 1):
        image = ground.copy()
        for person, face in enumerate(faces):
            x, y = 20 + 100 * person + pace * frame * (-1) ** person, 40 + 30 * person
            image[y : y + 60, x : x + 24] = face
            truth.append(f"{frame},{person + 1},{x},{y},24,60,1,1,1.0")
            if (frame, person) != (4, 0):
                detections.append(f"{frame},-1,{x + 0.5},{y - 0.5},24,60,{0.9 - 0.1 * person:.2f}")
        if frame == 5:
            detections.append(f"{frame},-1,280,5,24,60,0.2")
        if images:
            (folder / "img1" / f"{frame:06d}.jpg").write_bytes(simplejpeg.encode_jpeg(image, quality=95))
    (folder / "gt" / "gt.txt").write_text("\n".join(truth) + "\n")
    (folder / "det" / "det.txt").write_text("\n".join(detections) + "\n")
    return folder
