"""What the verbs answer with `--json` and leave as JSON on disk, to show that a change of the code changes none of it.

Run it on the code before and after a change, and compare:

    python tests/equivalence/answers.py --data ../shared/data --output before.json
    python tests/equivalence/answers.py --data ../shared/data --output after.json --compare before.json

Keys, their order, types and values are compared. Durations, rates and ids that a server draws are masked. It uses the
command line alone, so that it runs on any state of the code: set PYTHONPATH to the code that is meant.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Durations and rates; their types are compared.
_VOLATILE = re.compile(
    r"fps|fps_by_stage|.*seconds|minutes|.*per_second|.*_wait_share|.*_per_hour|per_hour|remaining_s|finished_at|.*mtime.*|stored_gib"
)
_DRAWN = re.compile(r"\b[0-9a-f]{32}\b")
# Keys of tables that people read: rates again.
_RATES = {"fps", "time"}
_TIME = re.compile(r"\b\d+(\.\d+)? s\b")


class _Answers:
    def __init__(self, data: Path, folder: Path) -> None:
        self.mot, self.folder, self.workspace = data / "mot", folder, folder / "workspace"
        self.campus = self.mot / "2DMOT2015" / "train" / "TUD-Campus"
        self.crossing = self.mot / "2DMOT2015" / "train" / "TUD-Stadtmitte"
        self.clips = sorted((data / "clips" / "trimmed").glob("*.mp4"))[:12]
        self.found: dict[str, Any] = {}

    def ssat(self, name: str, *arguments: object) -> Any:
        """Note the answer of a command as `name`; what it prints stays out."""
        command = [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)]
        command += ["--json", "--workspace", str(self.workspace)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None
        shown = [line.rstrip() for line in done.stderr.splitlines() if "error:" in line or "defect:" in line]
        self.found[name] = self._masked({"exit code": done.returncode, "errors": shown, "answer": answer})
        print(f"{name}: {done.returncode} {shown}", file=sys.stderr)
        return answer

    def _masked(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            # Rates and durations by stage.
            inner = key if _VOLATILE.fullmatch(key) else ""
            return [[self._text(name), self._masked(value[name], inner or name)] for name in value]
        if isinstance(value, list):
            return [self._masked(entry, key) for entry in value]
        if key in _RATES or _VOLATILE.fullmatch(key):
            return type(value).__name__
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = text.replace(str(self.folder), "FOLDER")
        return _TIME.sub("T s", _DRAWN.sub("DRAWN", re.sub(r"[0-9a-f]{12}(?=\.npz)", "DRAWN", text)))

    def run(self) -> None:
        """All verbs on one workspace, in the order in which they need each other."""
        source = self.folder / "videos"
        source.mkdir()
        for clip in self.clips:
            shutil.copy(clip, source)
        (source / "broken.mp4").write_bytes(b"no video")
        (source / "notes.doc").write_text("no video")
        collect = ("--source", source, "--clip-seconds", 3, "--workers", 1)
        self.ssat("collect", "collect", *collect, "--clips", 8, "--downloads", 1)
        self.ssat("collect status", "collect", "--status")
        decode = ("--short-side", 64, "--shard-clips", 4)
        self.ssat("decode dry", "decode", *decode, "--dry-writer")
        self.ssat("decode", "decode", *decode)
        self.ssat("verify", "verify")
        shard = min((self.workspace / "frames").glob("shard-*.parquet"))
        shard.write_bytes(shard.read_bytes()[:-8])
        self.ssat("verify broken", "verify")
        self.ssat("verify repaired", "verify", "--repair")
        train = ("--crop", 48, "--early-epochs", 0, "--early-crop", 48, "--held-out-clips", 2, "--batch-size", 16)
        train += ("--epochs", 1, "--evaluate-every", 1, "--device", "cpu", "--precision", "float32")
        own = ("--train-short-side", 64, "--train-workers", 1)
        alone = (*train, "--short-side", 64, "--workers", 1)
        trained = self.ssat("train", "train", *alone)
        self.ssat("train again", "train", *alone)
        other = self.ssat("train other seed", "train", *alone, "--seed", 1)
        self.ssat("colours", "colours", "--clips", 6, "--held-out-clips", 2)
        self.ssat("colours again", "colours", "--clips", 6, "--held-out-clips", 2)
        self.ssat("adapt", "adapt", self.campus, "--min-score", 0)
        tud = ("--mot", self.campus, "--split", "train", "--preset", "quick")
        box = self.ssat("benchmark", "benchmark", *tud, "--tracker", "box")
        self.ssat("benchmark again", "benchmark", *tud, "--tracker", "box")
        self.ssat("benchmark test", "benchmark", *tud[:2], "--split", "test", "--tracker", "box", "--no-video")
        self.ssat("benchmark no folder", "benchmark", "--mot", self.folder / "nowhere")
        first = self.ssat("benchmark trained", "benchmark", *tud, "--no-video", "--embedder", trained["mlflow_run_id"])
        self.ssat("compare", "compare", box["mlflow_run_id"], first["mlflow_run_id"])
        self.ssat("compare trainings", "compare", "--experiment", "ssat-train")
        runs = trained["mlflow_run_id"], other["mlflow_run_id"]
        self.ssat("promote dry", "promote", runs[0], "--split", "train", "--dry-run")
        self.ssat("promote", "promote", runs[0], *tud[:4], "--no-video", "--probe", "none")
        self.ssat("promote another", "promote", runs[1], *tud[:4], "--no-video", "--spread", "0")
        self.ssat("evaluate", "evaluate", "--gt", self.campus, "--results", self.workspace / box["folder"])
        results = self.workspace / first["folder"] / "TUD-Campus.txt"
        self.ssat("link", "link", results, self.campus, "--embedder", "colour")
        study = ("--mot", self.campus, "--split", "train", "--embedder", "colour")
        self.ssat("study extensions", "study", "extensions", *study)
        self.ssat("study extensions again", "study", "extensions", *study)
        self.ssat("study features", "study", "features", *study, "--embedder", "untrained")
        trackers = ("--trackers", "box,ssat,tracklets,sort", "--unlabelled", self.crossing)
        self.ssat("study trackers", "study", "trackers", *study, *trackers, "--tracklets-epochs", 1)
        self.ssat("study clips", "study", "clips", *alone, "--clips", "3,5", "--seeds", "0,1", *study[:4])
        grid = ("--tau1", "0.5,0.56", "--tau2", "0.64", "--alpha", "1,2", "--beta", "0.4")
        chosen = ("--choose-split", "train-half", "--mot", self.campus, "--embedder", "colour")
        self.ssat("study thresholds", "study", "thresholds", *grid, *chosen)
        tune = ("--train", self.crossing, "--report", self.campus, "--embedder", "colour", "--trials", 3)
        self.ssat("tune", "tune", *tune)
        self.ssat("tune again", "tune", *tune)
        self.files("")
        self.workspace = self.folder / "second"
        both = (
            *collect[:4],
            "--collect-workers",
            1,
            "--decode-workers",
            1,
            *own,
            *train,
            *decode[2:],
            "--decode-short-side",
            64,
            *tud[:4],
        )
        self.ssat("run", "run", *both, "--collect-clips", 7, "--no-video")
        self.ssat("run without benchmark", "run", *both[:-4], "--collect-clips", 7, "--no-benchmark")
        ladder = ("--ladder", 4, "--ladder", 5)
        self.ssat("scale", "scale", *both, *ladder)
        self.ssat("scale again", "scale", *both, *ladder)
        self.ssat("demo tracking", "demo", "--tracking", "--frames", 40)
        self.files("second: ")

    def files(self, prefix: str) -> None:
        """Result files of the stages."""
        names = ("benchmark.json", "study.json", "result.json", "tracklets.json", "ladder.json", "run.json")
        paths = [path for path in self.workspace.rglob("*.json") if path.name in names]
        paths += list(self.workspace.glob("benchmark/*/*.json"))
        found = {}
        for path in sorted(set(paths)):
            name = re.sub(r"(seed\d-)?[0-9a-f]{12,16}", "KEY", str(path.relative_to(self.workspace)))
            found.setdefault(name, []).append(self._masked(json.loads(path.read_text())))
        for name, contents in found.items():
            self.found[f"{prefix}{name}"] = sorted(contents, key=json.dumps)


def main() -> None:
    """Write the answers; with --compare, name what differs and exit with 1 where anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--compare", type=Path, help="JSON file of an earlier run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssat-answers-") as folder:
        answers = _Answers(given.data.resolve(), Path(folder))
        try:
            answers.run()
        finally:
            given.output.write_text(json.dumps(answers.found, indent=1) + "\n")
    if given.compare is not None:
        before, after = json.loads(given.compare.read_text()), json.loads(given.output.read_text())
        differing = [line for name in before for line in _differences(before[name], after.get(name), name)]
        print("\n".join(differing) or "no difference")
        sys.exit(bool(differing))


def _differences(before: Any, after: Any, where: str) -> list[str]:
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [
            line for n, (old, new) in enumerate(pairs) for line in _differences(old, new, f"{where}/{_label(old, n)}")
        ]
    return [] if before == after else [f"{where}: {before!r} != {after!r}"]


def _label(entry: Any, position: int) -> str:
    return str(entry[0]) if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) else str(position)


if __name__ == "__main__":
    main()
