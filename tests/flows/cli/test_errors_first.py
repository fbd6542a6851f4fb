"""Every verb reports input that it cannot use before it imports or starts a service."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ssat.frames.store import FrameStore
from tests.ssat.frames.conftest import small_clips, small_store

__all__ = ["small_clips", "small_store"]

# Verb and arguments → a part of the message. {bad} is a folder of faulty files; every case has an empty workspace.
# `ssat plan` takes no file but its configuration.
CASES = {
    "collect --source nope": "nope: no such clip list or folder",
    "collect": "no source given",
    "collect --source {bad}/empty": "no video in this folder",
    "decode": "run `ssat collect` first",
    "train": "run `ssat decode` first",
    "colours": "run `ssat collect` first",
    "benchmark --mot nope": "nope: no such folder",
    "benchmark --mot {bad}/mot": "no finished training",
    "benchmark --mot {bad}/mot --embedder nope.safetensors": "embedder 'nope.safetensors': neither a file",
    "benchmark --mot {bad}/mot --detections nope.txt": "nope.txt",
    "benchmark --mot {bad}/mot --sequences OTHER-01 --tracker box": "OTHER-01",
    "benchmark --mot {bad}/mot --embedder colour --refine frozen": "no checkpoint for the refinement",
    "benchmark --mot {bad}/mot --tracker box --explain WALK-01": "expected SEQUENCE:ID",
    "benchmark --mot {bad}/mot --tracker box --explain OTHER:1": "no sequence OTHER; this benchmark has WALK-01",
    "run --source nope --mot {bad}/mot": "nope: no such clip list or folder",
    "run --source {bad}/list.txt --mot nope": "nope: no such folder",
    "run --source {bad}/list.txt --no-benchmark --train-workers 1024 --batch-size 2048": "1024 are more than this",
    "run --source {bad}/list.txt --mot {bad}/mot --embedder nope.onnx": "embedder 'nope.onnx': neither a file",
    "run --source {bad}/list.txt --no-benchmark --dry-writer": "decode.dry_writer: on, and a training follows",
    "scale --source {bad}/list.txt --mot {bad}/mot --dry-writer": "decode.dry_writer: on, and a training follows",
    "scale --source nope --mot {bad}/mot": "nope: no such clip list or folder",
    "scale --source {bad}/list.txt --mot nope": "nope: no such folder",
    "scale --source {bad}/list.txt --mot {bad}/mot --train-warm-start nope": "train.warm_start: nope: no such folder",
    "track nope.mp4": "nope.mp4: no such file or folder",
    "track {bad}/mot/WALK-01 --embedder nope.onnx": "embedder 'nope.onnx': neither a file",
    "probe nope.mp4": "nope.mp4: no such file or folder",
    "link nope.txt {bad}/mot/WALK-01": "nope.txt",
    "download MOT18": "no data set of that name; expected one of MOT15, MOT16",
    "download dancetrack": "https://github.com/DanceTrack/DanceTrack",
    "download SportsMOT": "https://github.com/MCG-NJU/SportsMOT",
    "download KITTI": "create an account there",
    "download MOT15 --labels-only": "MOT15: its publisher offers no archive without images",
    "download MOT17 --url ftp://mirror/MOT17.zip": "expected the http(s) address of a zip",
    "download --folder data": "NAME is missing",
    "evaluate --gt nope --results nope": "nope: no such folder",
    "evaluate --gt {bad}/mot --results {bad}/empty": "no result file for WALK-01",
    "study extensions --mot nope": "nope: no such folder",
    "study strong --mot {bad}/mot": "no finished training",
    "study features --mot nope": "nope: no such folder",
    "study trackers --trackers ssat --mot nope": "nope: no such folder",
    "study clips --clips 2,3 --mot {bad}/mot": "run `ssat decode` first",
    "study thresholds --mot nope": "nope: no such folder",
    "tune --train nope --report {bad}/mot": "nope: no such folder",
    "tune --train {bad}/mot --report {bad}/mot --embedder nope.onnx": "embedder 'nope.onnx': neither a file",
    "compare abcdef abcde1": "no runs are recorded here",
    "compare not-a-run abcdef": "run 'not-a-run': expected an MLflow run id",
    "promote abcdef": "no runs are recorded here",
    "promote abcdef --mot nope": "nope: no such folder",
    "promote champion --to ftp://mirror": "not the address of an MLflow registry",
    "promote champion --to http://127.0.0.1:9": "127.0.0.1:9",
    "promote champion --to sqlite:////nowhere/mlflow.db": "no folder /nowhere",
    "adapt nope": "nope: no such folder",
    "embed nope.jpg": "nope.jpg: no such file",
    "export": "no finished training",
    "export --run nope": "embedder 'nope': neither a file",
    "verify": "no frame store here",
    "deploy": "PREFECT_API_URL names no server",
    "serve --file nope.yaml": "nope.yaml: no such file",
    "serve nope": "no deployment of a flow nope",
    **{
        f"{verb} --config {{bad}}/wrong.toml": "wrong.toml"
        for verb in (
            "collect",
            "decode",
            "train",
            "colours",
            "benchmark",
            "run",
            "scale",
            "track x.mp4",
            "probe x.mp4",
            "link x.txt x.mp4",
            "evaluate --gt x",
            "study extensions",
            "promote abcdef",
            "embed x.jpg",
            "export",
            "verify",
            "plan",
            "deploy",
            "serve",
            "doctor",
            "ui",
            "demo",
        )
    },
}
# In the workspace of a frame store of ten clips.
_WITH_STORE = {
    "train": "10 clips and 16 are held out",
    "train --clips 9 --held-out-clips 2": "9 to train on and 2 held out are more than the 10 clips",
    "train --held-out-clips 2 --batch-size 512": "512 images are more than one epoch of 8 clips gives",
}
_HEAVY = ["torch", "ray", "prefect", "mlflow"]
_RUN_ALL = """
import contextlib, io, json, sys
from flows.cli import prepare_environment, run

prepare_environment()
answers = {}
for case, arguments in json.load(sys.stdin).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    answers[case] = {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "imported": [name for name in HEAVY if name in sys.modules],
    }
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory, make_sequence: Callable[..., Path], small_store: FrameStore
) -> dict[str, dict[str, object]]:
    """Exit code, output and imports of every case, run one after another in one fresh process."""
    folder = tmp_path_factory.mktemp("errors")
    bad = folder / "bad"
    (bad / "empty").mkdir(parents=True)
    make_sequence(bad / "mot")
    (bad / "list.txt").write_text("https://example.org/clip.mp4\n")
    (bad / "wrong.toml").write_text("[colect]\nclips = 3\n")
    arguments: dict[str, list[str]] = {}
    for number, case in enumerate(CASES):
        words = case.format(bad=bad).split()
        workspace = folder / f"w{number}"
        workspace.mkdir()
        arguments[case] = [*words, "--workspace", str(workspace)]
    stored = Path(small_store.folder).parent
    for case in _WITH_STORE:
        arguments[f"{case} (store)"] = [*case.split(), "--workspace", str(stored)]
    variables = _without_services()
    code = _RUN_ALL.replace("HEAVY", repr(_HEAVY))
    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        env=variables,
        cwd=folder,
        check=True,
    )
    result: dict[str, dict[str, object]] = json.loads(ran.stdout)
    return result


def _without_services() -> Mapping[str, str]:
    named = ("PREFECT_API_URL", "RAY_ADDRESS", "MLFLOW_TRACKING_URI", "SSAT_CENTERTRACK")
    return {
        **{name: value for name, value in os.environ.items() if name not in named},
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
    }


_MESSAGES = CASES | {f"{case} (store)": message for case, message in _WITH_STORE.items()}


@pytest.mark.parametrize("case", _MESSAGES)
def test_a_fault_is_reported_before_anything_starts(answers: dict[str, dict[str, object]], case: str) -> None:
    answer = answers[case]
    assert answer["code"] == 2, answer
    assert _MESSAGES[case] in str(answer["err"])
    assert len(str(answer["err"]).splitlines()) <= 4, "the message alone, not a server's log"
    assert answer["imported"] == [], "imports take seconds, and none of these is needed to find the fault"


def test_every_verb_has_a_case() -> None:
    from flows.cli import verbs

    assert set(verbs()) == {case.split()[0] for case in CASES}
