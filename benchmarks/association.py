"""Claim: association alone runs at 4,000 frames per CPU-second or more, at 15 detections a frame with 512-d features.

    python benchmarks/association.py [--frames 5316] [--peer NAME=PYTHON ...]

Measures CPU time of `Tracker.update` at 5, 15, 50 and 150 detections a frame on people who walk at random and are
missed one time in ten, beside the same method written plainly (an object per track, a loop per pair), and checks that
both give every detection the same identity; and of the preset `strong`. Then its memory over 100,000 frames.
`--peer trackers=…/bin/python` also runs SORT, ByteTrack and OC-SORT of that environment on the same boxes,
`--peer norfair=…` and `--peer boxmot=…` likewise; `make bench-track` makes the environments.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from support.report import Claim, report  # noqa: E402 - after the number of threads is set

from ssat.tracking import Tracker, TrackerConfig  # noqa: E402 - after the number of threads is set

Frame = tuple[np.ndarray, np.ndarray]
_WIDTH, _MISSED, _SEGMENTS = 512, 0.1, 5
_PEERS = {
    "trackers": ("SORT (trackers)", "ByteTrack (trackers)", "OC-SORT (trackers)"),
    "norfair": ("norfair, IoU",),
    "boxmot": ("BoT-SORT with features (boxmot)",),
}


def world(n_frames: int, people: int, seed: int = 0) -> list[Frame]:
    """Boxes (D, 4) and features (D, 512) of each frame."""
    rng = np.random.default_rng(seed)
    faces, common = rng.normal(size=(people, _WIDTH)), 0.7 * rng.normal(size=_WIDTH)
    place, speed = rng.uniform(0, 1800, (people, 2)), rng.normal(0, 2, (people, 2))
    frames = []
    for _ in range(n_frames):
        place = place + speed
        speed[(place < 0) | (place > 1800)] *= -1
        seen = rng.random(people) > _MISSED
        corner = place[seen] + rng.normal(0, 2, (seen.sum(), 2))
        features = common + faces[seen] + 0.5 * rng.normal(size=(seen.sum(), _WIDTH))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        frames.append((np.hstack((corner, corner + np.array([60, 150]))), features.astype(np.float32)))
    return frames


class PlainTracker:
    """The same method to the letter, for reading: dictionaries and loops."""

    def __init__(self, config: TrackerConfig, life: int) -> None:
        self.config, self.life, self.tracks, self.next_id = config, life, [], 1

    def update(self, boxes: np.ndarray, features: np.ndarray) -> list[int]:
        ids = [0] * len(boxes)
        tracked = [track for track in self.tracks if not track["missed"]]
        lost = [track for track in self.tracks if track["missed"]]
        for track in self.tracks:
            track["missed"] += 1
        for tracks, threshold in ((tracked, self.config.tau1), (lost, self.config.tau2)):
            pairs = sorted(
                (self.distance(track, box, feature), t, d)
                for t, track in enumerate(tracks)
                for d, (box, feature) in enumerate(zip(boxes, features, strict=True))
                if not ids[d]
            )
            for distance, t, d in pairs:
                if distance < threshold and tracks[t]["missed"] and not ids[d]:
                    self.match(tracks[t], boxes[d], features[d])
                    ids[d] = tracks[t]["id"]
        self.tracks = [track for track in self.tracks if track["missed"] <= self.life]
        for d, identity in enumerate(ids):
            if not identity:
                ids[d] = self.next_id
                self.tracks.append({"id": self.next_id, "box": boxes[d], "feature": features[d], "missed": 0})
                self.next_id += 1
        return ids

    def distance(self, track: dict, box: np.ndarray, feature: np.ndarray) -> float:
        size = track["box"][2:] - track["box"][:2]
        by_box = np.linalg.norm(track["box"] - box) / (self.config.alpha * 2 * size.sum())
        return float(by_box + 1 - track["feature"] @ feature)

    def match(self, track: dict, box: np.ndarray, feature: np.ndarray) -> None:
        mixed = self.config.beta * feature + (1 - self.config.beta) * track["feature"]
        track.update(box=box, feature=mixed / np.linalg.norm(mixed), missed=0)


def frames_per_second(frames: list[Frame], start: Callable[[], Callable[[Frame], object]]) -> float:
    """Frames per CPU-second, the best of a few segments: other programs only ever add time."""
    update, best = start(), 0.0
    length = max(1, len(frames) // _SEGMENTS)
    for first in range(0, len(frames) - length + 1, length):
        began = time.process_time()
        for frame in frames[first : first + length]:
            update(frame)
        best = max(best, length / max(time.process_time() - began, 1e-9))
    return best


def start_ours() -> Callable[[Frame], object]:
    tracker = Tracker()
    return lambda frame: tracker.update(*frame)


def start_strong() -> Callable[[Frame], object]:
    tracker = Tracker(TrackerConfig.strong())
    return lambda frame: tracker.update(*frame)


def start_plain() -> Callable[[Frame], object]:
    tracker = PlainTracker(TrackerConfig(), life=30)
    return lambda frame: tracker.update(*frame)


def of_peers(python: str, library: str, frames: list[Frame]) -> dict[str, float]:
    """Frames per CPU-second of the trackers of one library."""
    script = Path(__file__).parent / "support" / "peer_trackers.py"
    answer = {}
    with tempfile.TemporaryDirectory() as folder:
        world_file = Path(folder) / "world.npz"
        boxes, features = (np.concatenate([frame[k] for frame in frames]) for k in (0, 1))
        np.savez(world_file, boxes=boxes, features=features, counts=[len(frame[0]) for frame in frames])
        for name in _PEERS[library]:
            done = subprocess.run(
                [python, str(script), name, str(world_file)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            answer[name] = json.loads(done.stdout.splitlines()[-1])["frames_per_cpu_second"]
    return answer


def memory_growth(n_frames: int) -> float:
    """MiB that the process has grown between a tenth of the frames and all of them."""
    import psutil

    process, tracker = psutil.Process(), Tracker()
    frames = world(1000, 15)
    early = 0
    for index in range(n_frames):
        tracker.update(*frames[index % len(frames)])
        if index == n_frames // 10:
            early = process.memory_info().rss
    return (process.memory_info().rss - early) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5316, help="at 15 detections; fewer where there are more")
    parser.add_argument("--memory-frames", type=int, default=100_000)
    parser.add_argument("--peer", action="append", default=[], help="trackers, norfair or boxmot = its Python")
    options = parser.parse_args()
    rows, per_second, strong_per_second = [], {}, {}
    for people in (5, 15, 50, 150):
        frames = world(max(20, min(options.frames, 15 * options.frames // people)), people)
        ours = frames_per_second(frames, start_ours)
        few = frames[: max(10, 300 // people)]
        plain = frames_per_second(few, start_plain)
        tracker, reference = Tracker(), PlainTracker(TrackerConfig(), life=30)
        same = all(tracker.update(*frame).ids.tolist() == reference.update(*frame) for frame in few)
        assert same, f"identities differ at {people} detections"
        strong = frames_per_second(frames, start_strong)
        row = {"detections a frame": people, "ours": round(ours), "ours, strong": round(strong)}
        row["plain reference"] = round(plain)
        for given in options.peer:
            library, python = given.split("=", 1)
            # The slow ones need no more frames for a steady figure.
            row |= {name: round(rate) for name, rate in of_peers(python, library, frames[:1000]).items()}
        rows.append(row)
        per_second[people], strong_per_second[people] = ours, strong
    growth = memory_growth(options.memory_frames)
    claims = [
        Claim("frames per CPU-second at 15 detections", per_second[15], 4000),
        Claim("the same of the preset strong", strong_per_second[15], 4000),
        Claim(f"MiB grown over {options.memory_frames} frames", growth, at_most=4),
    ]
    report("association", "frames per CPU-second, 512-d features, best of 5 segments, one thread", rows, claims)


if __name__ == "__main__":
    main()
