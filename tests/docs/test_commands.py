"""Every command and every block of Python of the README and the pages is run, with small inputs of those names.

A line runs as it stands but for what `_INSTEAD` replaces: numbers of clips that the small world does not have, run ids,
addresses. They run in the order of the pages in one workspace, for some take what others made. Another test runs those
of `_ELSEWHERE`; those of `_NOT_HERE` need machines that a test has not.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.docs.conftest import Place
from tests.docs.pages import PROJECT, block_commands, python_blocks

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

_ON_SERVICES = "tests/infra/test_services.py::test_the_pipeline_runs_as_deployments_on_two_nodes"
# Command → the test that runs it.
_ELSEWHERE = {
    "make demo": "tests/flows/test_demo.py::",
    "make services": _ON_SERVICES,
    "make services-down": _ON_SERVICES,
    "prefect worker start --pool ssat": _ON_SERVICES,
    "ssat serve --workspace workspace --config ssat.toml": "tests/flows/test_deployments.py::served",
    "ssat decode --workspace s3://bucket/experiment": "tests/tasks/test_decode_nodes.py::",
    "ssat verify --workspace s3://bucket/experiment": "tests/tasks/test_decode_nodes.py::",
}

# Command → the test of the files that it takes, for it needs Docker, machines, a cluster or a cloud.
_NOT_HERE = {
    "docker compose --file infra/compose.yaml up --build --detach": "tests/infra/test_manifests.py::",
    "ray up infra/ray/on-premise.yaml": "tests/infra/test_manifests.py::",
    "ray attach --port-forward 8265 infra/ray/on-premise.yaml": "tests/infra/test_manifests.py::",
    "kubectl create secret generic ssat-services --from-env-file=services.env": "tests/infra/test_manifests.py::",
    "kubectl apply --filename claim.yaml": "tests/infra/test_manifests.py::",
    "kubectl apply --filename infra/kuberay/decode.yaml": "tests/infra/test_manifests.py::",
    "aws s3 sync workspace/clips s3://bucket/experiment/clips": "tests/ssat/frames/test_remote.py::",
    "ssat track 0 --detector fcos --live": "tests/ssat/video/test_streams.py::",
}

# Command → what is typed in its place. {address}: a web server on loopback; {first}, {second}: MLflow runs of two
# trainings; {folder}: the folder of the second below workspace/training.
_URL = "--url-template '{address}/videos/{{clip_id}}.mp4'"
_INSTEAD = {
    "ssat benchmark --download --mot data --sequences '*-FRCNN' --detections public": (
        "ssat benchmark --download --mot data --sequences '*-FRCNN' --detections public"
        " --download-url {address}/MOT17.zip"
    ),
    "ssat download MOT17 --folder data": "ssat download MOT17 --folder data --url {address}/MOT17.zip",
    "ssat collect --source kinetics-600_test.csv --clips 160": (
        f"ssat collect --source kinetics-600_test.csv --clips 4 {_URL}"
    ),
    "ssat collect --source list.csv --url-template 'http://mirror.example/{clip_id}.mp4'": (
        f"ssat collect --source list.csv {_URL}"
    ),
    "ssat collect --source list.csv --mirrors k600_test_path.txt": (
        f"ssat collect --source list.csv --mirrors k600_test_path.txt {_URL}"
    ),
    "ssat collect --source list.csv --retry-dead": f"ssat collect --source list.csv --retry-dead {_URL}",
    "ssat train --clips 160 --workspace workspace": "ssat train --clips 3 --workspace workspace",
    "ssat train --clips 800 --workspace workspace --warm-start workspace/training/FIRST": (
        "ssat train --clips 5 --workspace workspace --warm-start workspace/training/{folder}"
    ),
    "ssat study clips --clips 160,800,1600 --seeds 0,1,2 --mot MOT17/train --preset paper": (
        "ssat study clips --clips 3 --seeds 0 --mot MOT17/train --preset paper"
    ),
    "ssat tune --train MOT17/train/MOT17-02-FRCNN --report MOT17/train/MOT17-09-FRCNN --trials 100": (
        "ssat tune --train MOT17/train/MOT17-02-FRCNN --report MOT17/train/MOT17-09-FRCNN --trials 3"
    ),
    # The environment that the line names is somebody's own; tests/ssat/studies/test_boxmot.py runs BoxMOT where it is.
    "ssat study trackers --mot MOT17/train --trackers strong --embedder colour --boxmot-python boxmot/bin/python": (
        "ssat study trackers --mot MOT17/train --trackers strong --embedder colour"
    ),
    "ssat compare 3f9a1c0d 77b02e5c": "ssat compare {first} {second}",
    "ssat promote 3f9a1c0d --mot MOT17/train --split val-half --protocol motchallenge": (
        "ssat promote {first} --mot MOT17/train --split val-half --protocol motchallenge"
    ),
    "ssat promote 3f9a1c0d --dry-run": "ssat promote {second} --dry-run",
    "ssat promote champion --to http://mlflow.example:5000": "ssat promote {first} --to sqlite:///registry.db",
    "ssat scale --source kinetics-600_test.csv --mot MOT17/train --hours 8 --gib 200": (
        "ssat scale --source videos/ --mot MOT17/train --hours 8 --gib 200"
    ),
    # This sequence has too few people to measure the distance of different people.
    "ssat link workspace/tracks/street.txt street.mp4": (
        "ssat link MOT17/train/MOT17-09-FRCNN/gt/gt.txt MOT17/train/MOT17-09-FRCNN --output linked --max-distance 0.1"
    ),
    "ssat deploy --workspace /data/ssat --config ssat.toml": "ssat deploy --workspace workspace --config ssat.toml",
    "ssat track rtsp://camera/stream --detector fcos --live": "ssat track {address}/street.mp4 --detector fcos --live",
}
_OURS = [pair for pair in block_commands() if pair[1] not in _ELSEWHERE | _NOT_HERE]


def test_what_another_test_runs_is_in_that_test() -> None:
    typed = {command for _, command in block_commands()}
    assert set(_ELSEWHERE | _NOT_HERE) | set(_INSTEAD) <= typed, "no page says that any more"
    for test in (*_ELSEWHERE.values(), *_NOT_HERE.values()):
        path, name = test.split("::")
        assert f"def {name}" in (PROJECT / path).read_text(encoding="utf-8"), test


@pytest.mark.parametrize(("page", "command"), _OURS, ids=[f"{page}: {command[:70]}" for page, command in _OURS])
def test_it_runs(page: str, command: str, request: pytest.FixtureRequest) -> None:
    if not command.startswith("ssat "):
        _would_run(command)
        return
    place: Place = request.getfixturevalue("in_place")
    if command.startswith("ssat collect"):
        # The lists of this page are not the one that the workspace of the others was collected from.
        request.getfixturevalue("monkeypatch").setenv("SSAT_WORKSPACE", f"collect-{_source(command)}")
    place.ssat(place.filled(_INSTEAD[command]) if command in _INSTEAD else command)


def _source(command: str) -> str:
    words = shlex.split(command)
    return Path(words[words.index("--source") + 1]).stem if "--source" in words else "list"


def _would_run(command: str) -> None:
    """`make TARGET` and `pytest …`, which a test does not run inside of itself: what they name is there."""
    program, *words = shlex.split(command)
    if program == "make":
        assert re.search(rf"^{words[0]}:", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    assert program == "pytest", command
    if words[0] == "-m":
        marker = words[1].removeprefix("not ")
        assert f'"{marker}:' in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    else:
        assert list((PROJECT / words[0]).glob("**/test_*.py")) or (PROJECT / words[0]).is_file()


def _given(page: str, number: int) -> dict[str, Any]:
    """What a block takes from the text around it."""
    if (page, number) == ("tracking.md", 1):
        from ssat.tracking import Tracker, TrackerConfig

        rng = np.random.default_rng(0)
        frames = [(np.array([[10.0, 10, 30, 60]]) + step, rng.normal(size=(1, 512))) for step in range(3)]
        return {"frames": frames, "Tracker": Tracker, "TrackerConfig": TrackerConfig}
    if (page, number) == ("training.md", 2):
        return {"patches": np.zeros((2, 32, 32, 3), np.uint8)}
    if page == "integrations.md":
        return _of_integrations(number)
    if page == "detection.md":
        return {"image": torch.zeros(1, 3, 64, 64), "previous_image": None, "prior_heatmap": None}
    if (page, number) == ("training.md", 1):
        return {"toml": tomllib.loads(Path("small.toml").read_text())}
    return {}


def _of_integrations(number: int) -> dict[str, Any]:
    """The models that the page supposes: each finds one box in every image."""
    import supervision
    import torchvision

    if number == 1:
        found = supervision.Detections(
            np.array([[10.0, 10, 30, 60]]), confidence=np.array([0.9]), class_id=np.array([0])
        )
        return {"find_people": lambda image: found, "annotator": supervision.BoxAnnotator()}
    if number == 2:
        from tests.ssat.detection.test_other_libraries import Results

        found = Results(torch.tensor([[10.0, 10, 30, 60, 0.9, 0]]))
        return {"images": [np.zeros((64, 64, 3), np.uint8)] * 3, "model": lambda image, classes: [found]}
    network = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, box_score_thresh=0.0
    )
    return {"model": network.eval()}


# What the small world has less of than the pages suppose.
_SMALLER = {
    "collect.md": [('"workspace"', '"workspace-of-script"')],
    "frames.md": [("range(100)", "range(5)")],
    # MLflow resolves the address when it is registered; a database sends nothing.
    "studies.md": [("https://hooks.example/mlflow", "https://1.1.1.1/mlflow")],
    "training.md": [('build("quick")', 'build("quick", toml["train"])')],
}


@pytest.mark.parametrize(
    ("page", "number", "code"), python_blocks(), ids=[f"{page} {number}" for page, number, _ in python_blocks()]
)
def test_the_python_runs(page: str, number: int, code: str, in_place: Place) -> None:
    for said, smaller in _SMALLER.get(page, []):
        code = code.replace(said, smaller)
    if page == "collect.md":  # its processes begin by reading the script again
        Path("script.py").write_text(code)
        subprocess.run([sys.executable, "script.py"], check=True, timeout=600)
        return
    exec(code, {"__name__": "__main__", **_given(page, number)})  # noqa: S102 - what the page tells people to run
