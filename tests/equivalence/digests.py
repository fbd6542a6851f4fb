"""Digests of what the commands write, to show that a change of the code changes no result.

Run it before and after a change and compare the two files:

    python tests/equivalence/digests.py --data ../shared/data --output before.json
    python tests/equivalence/digests.py --data ../shared/data --output after.json --compare before.json

It uses the command line alone, so that it runs on any state of the code. Digests depend on the processor and on the
versions of the packages: compare only files of one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Of scores, what does not depend on how fast the machine is.
_SPEED = {"fps", "fps_by_stage"}


def _ssat(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _scores(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if key not in _SPEED}


class _Digests:
    def __init__(self, data: Path, folder: Path) -> None:
        self.mot = data / "mot"
        self.campus = self.mot / "2DMOT2015" / "train" / "TUD-Campus"
        self.clips = sorted((data / "clips" / "trimmed").glob("*.mp4"))[:8]
        self.folder, self.workspace = folder, folder / "workspace"

    def track(self) -> dict[str, Any]:
        """Result files and tables of `ssat track`."""
        # The preset is named, because the default of `ssat track` is free to change.
        plain: tuple[object, ...] = ("--preset", "quick", "--tracker", "box")
        features: tuple[object, ...] = ("--preset", "quick", "--embedder", "untrained")
        variants: dict[str, tuple[object, ...]] = {
            "box": plain,
            "box kalman": (*plain, "--association-motion", "kalman"),
            "box low score": (*plain, "--association-low-score", "20"),
            "box interpolated": (*plain, "--interpolate-seconds", "0.5"),
            "features": features,
            "features paper": ("--embedder", "untrained", "--preset", "paper", "--association-assignment", "hungarian"),
            "features camera": (*features, "--association-camera-motion", "--explain", "2"),
        }
        found: dict[str, Any] = {}
        for name, options in variants.items():
            output = self.folder / "tracks" / name.replace(" ", "-")
            answer = _ssat(
                "track", self.campus, "--no-video", "--output", output, "--workspace", self.workspace, *options
            )
            found[name] = {"identities": answer["identities"], "text": _sha(Path(answer["results"]))}
            found[name]["table"] = _sha(Path(answer["table"]))
            if "interpolated" in answer:
                found[name]["interpolated"] = _sha(Path(answer["interpolated"]))
            if "explanation" in answer:
                found[name]["explanation"] = hashlib.sha256(answer["explanation"].encode()).hexdigest()
        return found

    def refine(self) -> dict[str, Any]:
        """`ssat track` and its detections by CenterTrack's network with drawn weights, frozen and in the loop."""
        import torch

        from ssat.detection.network import CenterNetwork

        torch.manual_seed(0)
        network = CenterNetwork()
        network.hm[2].bias.data += 0.2  # type: ignore[index, union-attr]
        network.ltrb_amodal[2].bias.data = torch.tensor([-2.0, -4.0, 2.0, 4.0])  # type: ignore[index, union-attr]
        checkpoint = self.folder / "drawn.pth"
        torch.save({"state_dict": network.state_dict()}, checkpoint)
        sequence = self.folder / "CUT"
        (sequence / "det").mkdir(parents=True)
        (sequence / "img1").mkdir()
        info = (self.campus / "seqinfo.ini").read_text().replace("TUD-Campus", "CUT")
        lines = [f"seqLength={4}" if line.startswith("seqLength") else line for line in info.splitlines()]
        (sequence / "seqinfo.ini").write_text("\n".join(lines) + "\n")
        for number in range(1, 5):
            shutil.copy(self.campus / "img1" / f"{number:06d}.jpg", sequence / "img1")
        rows = (self.campus / "det" / "det.txt").read_text().splitlines()
        kept = [row for row in rows if int(row.split(",")[0]) <= 4]
        (sequence / "det" / "det.txt").write_text("\n".join(kept) + "\n")
        found = {}
        for mode in ("frozen", "closed-loop"):
            for births in ("public", "free"):
                output = self.folder / "refined" / f"{mode}-{births}"
                answer = _ssat(
                    *("track", sequence, "--no-video", "--output", output, "--workspace", self.workspace),
                    *("--preset", "quick"),
                    *("--refine", mode, "--refinement-checkpoint", checkpoint, "--refinement-births", births),
                    *("--embedder", "untrained", "--refinement-precision", "float32"),
                )
                found[f"{mode}, {births}"] = _sha(Path(answer["results"]))
        return found

    def store(self) -> dict[str, Any]:
        """Shards of a frame store of a few clips."""
        source = self.folder / "videos"
        source.mkdir()
        for clip in self.clips:
            shutil.copy(clip, source)
        common = ("--workspace", self.workspace)
        _ssat(
            "collect",
            *common,
            "--source",
            source,
            "--clips",
            len(self.clips),
            "--clip-seconds",
            3,
            "--workers",
            1,
            "--downloads",
            1,
        )
        _ssat("decode", *common, "--short-side", 64, "--shard-clips", 4, "--workers", 1)
        frames = self.workspace / "frames"
        return {path.name: _sha(path) for path in sorted(frames.glob("shard-*.parquet"))}

    def train(self) -> dict[str, Any]:
        """Weights of a short training by one process, and how it tracks meanwhile."""
        from safetensors.numpy import load_file

        answer = _ssat(
            *("train", "--workspace", self.workspace, "--crop", 48, "--short-side", 64, "--early-epochs", 0),
            *("--held-out-clips", 2, "--epochs", 2, "--batch-size", 16, "--workers", 1, "--evaluate-every", 1),
            *("--early-crop", 48, "--device", "cpu", "--precision", "float32", "--evaluate-mot", self.campus),
        )
        digest = hashlib.sha256()
        for name, tensor in sorted(load_file(self.workspace / answer["embedder"]).items()):
            digest.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        timed = {"epoch", "step", "loss", "mot_idf1", "mot_mota", "mot_idsw", "recall_at_1"}
        history = [{key: row[key] for key in sorted(timed & set(row))} for row in answer["history"]]
        return {"weights": digest.hexdigest(), "history": history, "held_out": answer["held_out"]}

    def benchmark(self) -> dict[str, Any]:
        """Result files and scores of `ssat benchmark`, and the same files scored by `ssat evaluate`."""
        trained = ("--preset", "quick")
        variants: dict[str, tuple[object, ...]] = {
            "box": ("--mot", self.campus, "--split", "train", "--tracker", "box", "--interpolate-seconds", "0.5"),
            "labels": (
                *("--mot", self.mot / "MOT17" / "train", "--sequences", "MOT17-1*", "--tracker", "box"),
                *("--protocol", "motchallenge", "--min-score", "0.5"),
            ),
            "trained": (
                "--mot",
                self.campus,
                *trained,
                "--association-motion",
                "kalman",
                "--association-camera-motion",
            ),
            "bytetrack": ("--mot", self.campus, "--split", "train", "--tracker", "bytetrack"),
            "deepsort": ("--mot", self.campus, "--split", "train", "--tracker", "deepsort"),
        }
        found: dict[str, Any] = {}
        for name, options in variants.items():
            answer = _ssat("benchmark", "--workspace", self.workspace, "--no-video", *options)
            folder = self.workspace / answer["folder"]
            found[name] = {
                "overall": _scores(answer["overall"]),
                "files": {path.name: _sha(path) for path in sorted(folder.glob("*.txt"))},
            }
            if name == "box":
                scored = _ssat("evaluate", "--gt", self.campus, "--results", folder, "--protocol", "motchallenge")
                found["evaluate"] = _scores(scored["overall"])
        return found

    def sweep(self) -> dict[str, Any]:
        """Every point of a small sweep, whose features come from the cache."""
        answer = _ssat(
            *("study", "thresholds", "--workspace", self.workspace, "--mot", self.campus, "--choose-split"),
            *("train-half", "--tau1", "0.5,0.56", "--tau2", "0.64", "--alpha", "1,2", "--beta", "0.4"),
        )
        return {"points": answer["points"], "chosen": answer["chosen"]}


def main() -> None:
    """Write the digests; with --compare, name what differs and exit with 1 where anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the evaluation data")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--compare", type=Path, help="JSON file of an earlier run")
    parser.add_argument("--only", default="track,refine,store,train,benchmark,sweep", help="parts, in this order")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssat-digests-") as folder:
        digests = _Digests(given.data.resolve(), Path(folder))
        found: dict[str, Any] = {}
        for part in given.only.split(","):
            work: Callable[[], dict[str, Any]] = getattr(digests, part)
            found[part] = work()
            print(f"{part}: done", file=sys.stderr)
    given.output.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    if given.compare is not None:
        before = json.loads(given.compare.read_text())
        differing = _differences(before, json.loads(given.output.read_text()), "")
        print("\n".join(differing) or "no difference")
        sys.exit(bool(differing))


def _differences(before: Any, after: Any, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for key in before for line in _differences(before[key], after.get(key), f"{where}/{key}")]
    return [] if before == after else [f"{where}: {before} != {after}"]


if __name__ == "__main__":
    main()
