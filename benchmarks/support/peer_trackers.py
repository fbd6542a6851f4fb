"""Frames per CPU-second of another library's tracker on given boxes and features; run with that library's Python.

    PYTHON peer_trackers.py NAME WORLD.npz

Prints one JSON object. Knows nothing of this project: it runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

_SEGMENTS = 5
Update = Callable[[np.ndarray, np.ndarray], object]


def of_trackers(name: str) -> Update:
    import supervision
    import trackers

    tracker = getattr(trackers, name)(lost_track_buffer=30, frame_rate=30.0)

    def update(boxes: np.ndarray, _: np.ndarray) -> object:
        n = len(boxes)
        found = supervision.Detections(boxes, confidence=np.full(n, 0.9), class_id=np.zeros(n, int))
        return tracker.update(found)

    return update


def of_norfair() -> Update:
    import norfair

    tracker = norfair.Tracker("iou", distance_threshold=0.7, hit_counter_max=30)

    def update(boxes: np.ndarray, _: np.ndarray) -> object:
        return tracker.update([norfair.Detection(box.reshape(2, 2)) for box in boxes])

    return update


def of_boxmot() -> Update:
    import torch
    from boxmot import BotSort
    from boxmot.structures import Boxes, Detections

    torch.set_num_threads(1)
    tracker = BotSort(use_cmc=False, frame_rate=30)
    image = np.zeros((1080, 1920, 3), np.uint8)

    def update(boxes: np.ndarray, features: np.ndarray) -> object:
        n = len(boxes)
        found = Detections(
            Boxes(torch.from_numpy(boxes.astype(np.float32))),
            torch.full((n,), 0.9),
            torch.zeros(n, dtype=torch.int64),
            "world",
            embeddings=torch.from_numpy(features),
        )
        return tracker.update(found, image)

    return update


PEERS: dict[str, Callable[[], Update]] = {
    "SORT (trackers)": lambda: of_trackers("SORTTracker"),
    "ByteTrack (trackers)": lambda: of_trackers("ByteTrackTracker"),
    "OC-SORT (trackers)": lambda: of_trackers("OCSORTTracker"),
    "norfair, IoU": of_norfair,
    "BoT-SORT with features (boxmot)": of_boxmot,
}


def main() -> None:
    name, path = sys.argv[1:]
    content = np.load(path)
    ends = np.cumsum(content["counts"])[:-1]
    frames = list(zip(np.split(content["boxes"], ends), np.split(content["features"], ends), strict=True))
    update, best = PEERS[name](), 0.0
    length = max(1, len(frames) // _SEGMENTS)
    for first in range(0, len(frames) - length + 1, length):
        began = time.process_time()
        for boxes, features in frames[first : first + length]:
            update(boxes, features)
        best = max(best, length / max(time.process_time() - began, 1e-9))
    print(json.dumps({"frames_per_cpu_second": best}))


if __name__ == "__main__":
    main()
