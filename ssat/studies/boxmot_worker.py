"""Track one sequence with one of BoxMOT's trackers; run by the Python of BoxMOT's environment, never imported by ssat.

    PYTHON -I boxmot_worker.py FOLDER

FOLDER has `request.json` (tracker, frame_rate, width, height, images: path of every frame or null, camera_motion:
whether a tracker that follows the background does so) and `request.npz` (counts: detections of every frame; boxes
(n, 4) x1 y1 x2 y2; scores (n,) between 0 and 1; features (n, F), absent where the tracker uses boxes alone). The
answer is `answer.npz` (rows, ids: detection and identity of every tracked box, in the order of the frames) and
`answer.json` (cpu_seconds of association, camera_seconds of camera motion). Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set

_NOMINAL_RATE = 30.0  # frames per second that BoxMOT's settings assume
_WARM_UP_FRAMES = 20


def make_tracker(name: str, frame_rate: float) -> Any:
    """Return BoxMOT's tracker with BoxMOT's own settings, times that it counts in frames scaled to `frame_rate`."""
    from boxmot.trackers.config import load_tracker_config  # type: ignore[import-not-found, unused-ignore]
    from boxmot.trackers.factory import create_tracker  # type: ignore[import-not-found, unused-ignore]
    from boxmot.trackers.specs import TrackerSpec  # type: ignore[import-not-found, unused-ignore]

    defaults, options = load_tracker_config(name), {}
    if "frame_rate" in defaults:
        options["frame_rate"] = max(1, round(frame_rate))
    elif "max_age" in defaults:
        options["max_age"] = max(1, round(defaults["max_age"] * frame_rate / _NOMINAL_RATE))
    return create_tracker(TrackerSpec(name, options=tuple(sorted(options.items()))))


class TimedCamera:
    """BoxMOT's estimate of camera motion, with the time that it takes: that is no association."""

    def __init__(self, estimator: Any) -> None:
        self._estimator, self.seconds = estimator, 0.0

    def apply(self, *arguments: Any) -> Any:
        """Estimate as BoxMOT does."""
        began = time.process_time()
        try:
            return self._estimator.apply(*arguments)
        finally:
            self.seconds += time.process_time() - began

    def __getattr__(self, name: str) -> Any:
        return getattr(self._estimator, name)


class Sequence:
    """The detections and images of the request, as BoxMOT expects them."""

    def __init__(self, folder: Path) -> None:
        self.request = json.loads((folder / "request.json").read_text())
        with np.load(folder / "request.npz", allow_pickle=False) as content:
            counts, self._boxes, self._scores = content["counts"], content["boxes"], content["scores"]
            self._features = content.get("features")
        ends = np.cumsum(counts)
        # BoxMOT divides by the height of a box.
        whole = (self._boxes[:, 2:] > self._boxes[:, :2]).all(axis=1)
        self.rows = [first + np.flatnonzero(whole[first:end]) for first, end in zip(ends - counts, ends, strict=True)]
        self.blank = np.zeros((self.request["height"], self.request["width"], 3), np.uint8)

    def detections(self, index: int) -> Any:
        """Return the detections of a frame."""
        import torch
        from boxmot.structures import Boxes, Detections  # type: ignore[import-not-found, unused-ignore]

        given = self.rows[index]
        features = None if self._features is None else torch.from_numpy(self._features[given].astype(np.float32))
        return Detections(
            Boxes(torch.from_numpy(self._boxes[given].astype(np.float32))),
            torch.from_numpy(self._scores[given].astype(np.float32)),
            torch.zeros(len(given), dtype=torch.int64),
            str(index),
            embeddings=features,
        )

    def image(self, index: int) -> Any:
        """Return the image of a frame, black where there is none."""
        import cv2

        if self.request["images"] is None:
            return self.blank
        image = cv2.imread(self.request["images"][index])
        if image is None:
            raise SystemExit(f"{self.request['images'][index]}: not a readable image")
        return image


def associate(sequence: Sequence, frames: range) -> tuple[list[int], list[int], float, float]:
    """Return rows and identities of the tracked boxes, seconds of association and seconds of camera motion."""
    tracker = make_tracker(sequence.request["tracker"], sequence.request["frame_rate"])
    camera = None
    if not sequence.request["camera_motion"]:
        tracker.cmc = None
    if getattr(tracker, "cmc", None) is not None:
        camera = tracker.cmc = TimedCamera(tracker.cmc)
    rows: list[int] = []
    ids: list[int] = []
    seconds = 0.0
    for index in frames:
        detections, image = sequence.detections(index), sequence.blank if camera is None else sequence.image(index)
        began = time.process_time()
        tracks = tracker.update(detections, image)
        seconds += time.process_time() - began
        matched = tracks.detection_indices.numpy()
        shown = matched >= 0
        rows += sequence.rows[index][matched[shown]].tolist()
        ids += tracks.track_ids.numpy()[shown].tolist()
    estimating = 0.0 if camera is None else camera.seconds
    return rows, ids, seconds - estimating, estimating


def main() -> None:
    """Answer the request in the folder that is named."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = Path(sys.argv[1])
    sequence = Sequence(folder)
    n_frames = len(sequence.rows)
    # Another tracker runs on the first frames before, so that imports at the first call are not timed.
    associate(sequence, range(min(n_frames, _WARM_UP_FRAMES)))
    rows, ids, seconds, estimating = associate(sequence, range(n_frames))
    np.savez(folder / "answer.npz", rows=np.array(rows, np.int64), ids=np.array(ids, np.int64))
    answer = {"cpu_seconds": seconds, "camera_seconds": estimating}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
