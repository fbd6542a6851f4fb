"""The small pipeline that the drills disturb, stage by stage, and what must be the same afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.services.stack import Stack
from ssat.clips.roster import load_roster
from ssat.clips.status import load_status
from ssat.demo.settings import DemoSettings
from ssat.demo.world import write_clips, write_sequences
from ssat.frames.store import FrameStore
from ssat.workspace import Workspace

STAGES = ("collect", "decode", "train", "benchmark")
_WORLD = DemoSettings(clips=24, clip_seconds=3.0, frames=24, figures=4)
CLIPS = 8
_PROJECT = Path(__file__).resolve().parents[2]
_SCORES = ("mota", "idf1", "idsw", "fp", "fn", "mt", "ml")


def render(folder: Path) -> None:
    """The clips and sequences, once."""
    write_clips(folder / "clips", _WORLD, only=range(CLIPS))
    write_sequences(folder / "mot", _WORLD)


def arguments(stage: str, world: Path, workspace: Path) -> list[str]:
    """The command line of one stage."""
    command = [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        stage,
        "--json",
        "--workspace",
        str(workspace),
    ]
    return (
        command
        + {
            "collect": [
                "--source",
                str(world / "clips"),
                "--clips",
                str(CLIPS),
                "--clip-seconds",
                "3",
                "--concurrent-downloads",
                "1",
            ],
            "decode": ["--shard-clips", "4", "--short-side", "64"],
            "train": [
                *("--crop", "32", "--short-side", "40", "--early-crop", "32", "--frames-per-clip", "16"),
                *("--held-out-clips", "2", "--batch-size", "8", "--epochs", "4", "--checkpoint-every", "2"),
                *("--workers", "2", "--device", "cpu"),
            ],
            "benchmark": ["--mot", str(world / "mot"), "--split", "train", "--no-video"],
        }[stage]
    )


def environment(stack: Stack) -> dict[str, str]:
    """What a stage's command runs with."""
    foreign = ("PREFECT_", "RAY_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | stack.environment() | {"PYTHONPATH": str(_PROJECT), "OMP_NUM_THREADS": "1"}


def begin(
    stage: str, stack: Stack, world: Path, workspace: Path, log: Path, more: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a stage; its output is added to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments(stage, world, workspace),
            env=environment(stack) | (more or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def fingerprint(folder: Path) -> dict[str, Any]:
    """What a workspace holds, without times and names of runs: two that went the same way have the same.

    Raises:
        ValueError: something is there twice, half, or not at all.
    """
    workspace, found = Workspace.open(folder), {}
    roster = load_roster(workspace)
    rows = load_status(workspace).to_pylist()
    good = [row["clip_id"] for row in rows if row["status"] == "ok"]
    _demand(len(good) == len(set(good)) == roster.num_rows == CLIPS, f"clips collected: {sorted(good)}")
    files = {path for path in (workspace.clips / "trimmed").rglob("*") if path.is_file()}
    _demand(files == {workspace.absolute(path) for path in roster["path"].to_pylist()}, "files beside the roster")
    found["roster"] = roster.select(["rank", "clip_id", "sha256", "n_frames"]).to_pylist()
    if (folder / "frames" / "manifest.json").is_file():
        store = FrameStore.open(workspace.frames)
        found["frames"] = [store.digest, store.manifest.n_frames, [entry.sha256 for entry in store.manifest.shards]]
        shards = list((folder / "frames").glob("shard-*.parquet"))
        _demand(len(shards) == len(store.manifest.shards), f"shards beside the manifest: {shards}")
    for result in folder.glob("training/*/result.json"):
        trained = json.loads(result.read_text())
        found["weights"] = _weights(workspace.absolute(trained["embedder"]))
        found["loss"] = [row["loss"] for row in trained["history"]]
    for result in folder.glob("benchmark/*/benchmark.json"):
        scores = json.loads(result.read_text())
        found["scores"] = {key: scores["overall"][key] for key in _SCORES}
        found["tracks"] = {
            name: hashlib.sha256((result.parent / names["results"]).read_bytes()).hexdigest()
            for name, names in scores["files"].items()
        }
    left = [path for path in folder.rglob("*.partial*") if "mlflow" not in path.parts]
    _demand(not left, f"half written: {left}")
    return found


def recorded(stack: Stack, since_ms: int) -> dict[str, int]:
    """What MLflow holds of the time since: finished runs by experiment, and model versions."""
    from mlflow import MlflowClient

    os.environ.update({key: value for key, value in stack.environment().items() if key.startswith("MLFLOW_")})
    client = MlflowClient(stack.page("mlflow"))
    counts = {}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id], f"attributes.start_time >= {since_ms}")
        counts[experiment.name] = sum(run.info.status == "FINISHED" for run in runs)
    versions = client.search_model_versions("name='ssat-embedder'")
    counts["versions"] = sum(version.creation_timestamp >= since_ms for version in versions)
    return counts


def _weights(embedder: Path) -> str:
    from safetensors.numpy import load_file

    digest = hashlib.sha256()
    for name, values in sorted(load_file(embedder).items()):
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(otherwise)
