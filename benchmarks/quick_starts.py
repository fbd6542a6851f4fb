"""What a command costs whose work is done already, against the same command when it does the work.

    python benchmarks/quick_starts.py
    python benchmarks/quick_starts.py --videos ../shared/data/clips/trimmed --mot ../shared/data/mot/2DMOT2015/train

Every command runs as a process of its own in one workspace. CPU-seconds of it and of the services that it starts, and
wall-clock seconds. Without --videos and --mot, clips and a sequence are rendered.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from support.report import Claim, report

from ssat.demo.clips import render_clip, write_video
from ssat.demo.sequences import write_sequence
from ssat.file_names import TRAINING_RESULT

_MAX_CPU_S, _MAX_WALL_S = 6.0, 8.0
_SERVERS = ("PREFECT_API_URL", "RAY_ADDRESS", "MLFLOW_TRACKING_URI")


@dataclass(frozen=True)
class _Cost:
    cpu_s: float
    wall_s: float


def _measure(arguments: list[str]) -> _Cost:
    """Run `ssat` with these arguments to its end."""
    command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments, "--json"]
    variables = {name: value for name, value in os.environ.items() if name not in _SERVERS}
    began = time.monotonic()
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log, env=variables) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}\n{log.read().decode()[-3000:]}")
    return _Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - began)


def _rendered_clips(folder: Path, clips: int) -> Path:
    folder.mkdir()
    for clip in range(clips):
        write_video(folder / f"{clip}.mp4", render_clip(0, clip, 3.0, 4), 10)
    return folder


@click.command()
@click.option("--videos", type=click.Path(exists=True, path_type=Path), help="Folder of clips; default: rendered ones.")
@click.option("--mot", type=click.Path(exists=True, path_type=Path), help="Sequences; default: a rendered one.")
@click.option("--clips", default=8, show_default=True)
@click.option("--repeats", default=3, show_default=True, help="How often the finished work is asked for; median.")
def main(videos: Path | None, mot: Path | None, clips: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        videos = videos or _rendered_clips(base / "videos", clips)
        mot = mot or write_sequence(base / "mot", "RENDERED-01", 0, 0, 60, 6).parent
        workspace = base / "workspace"
        collect = ["--source", str(videos), "--clip-seconds", "3"]
        decode = ["--short-side", "64"]
        both_sides = ["--decode-short-side", "64", "--train-short-side", "64"]
        train = ["--crop", "48", "--early-crop", "48", "--epochs", "1", "--held-out-clips", "2", "--batch-size", "16"]
        benchmark = ["--mot", str(mot), "--split", "train"]
        commands = {
            "collect": ["collect", *collect, "--clips", str(clips)],
            "decode": ["decode", *decode],
            "train": ["train", *decode, *train],
            "benchmark": ["benchmark", *benchmark],
            "run": ["run", *collect, "--collect-clips", str(clips), *both_sides, *train, *benchmark],
        }
        rows, claims = [], []

        def measure(name: str, arguments: list[str]) -> None:
            arguments = [*arguments, "--workspace", str(workspace)]
            first = _measure(arguments)
            again = sorted((_measure(arguments) for _ in range(repeats)), key=lambda cost: cost.cpu_s)[repeats // 2]
            rows.append(
                {
                    "command": name,
                    "first CPU s": round(first.cpu_s, 1),
                    "first wall s": round(first.wall_s, 1),
                    "again CPU s": round(again.cpu_s, 2),
                    "again wall s": round(again.wall_s, 2),
                }
            )
            claims.append(Claim(f"{name}, done before: CPU-seconds", again.cpu_s, at_most=_MAX_CPU_S))
            claims.append(Claim(f"{name}, done before: seconds", again.wall_s, at_most=_MAX_WALL_S))

        for name, arguments in commands.items():
            measure(name, arguments)
        (result,) = workspace.glob(f"training/*/{TRAINING_RESULT}")
        for embedder in (json.loads(result.read_text())["mlflow_run_id"], "models:/ssat-embedder/1"):
            kind = "model" if embedder.startswith("models") else "run"
            measure(f"benchmark --embedder {kind.upper()}", [*commands["benchmark"], "--embedder", embedder])
        report(
            "quick_starts",
            f"{clips} clips of {'the demo' if videos.parent == base else videos}; finished work: median of {repeats}",
            rows,
            claims,
        )


if __name__ == "__main__":
    main()
