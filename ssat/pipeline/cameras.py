"""Several cameras: a tracker each, one embedder for all, their patches embedded together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.pipeline.appearance import with_features
from ssat.pipeline.frames import DetectedFrame, StageSeconds
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks
from ssat.video.sources import Image

CameraFrame = tuple[Image, NDArray[np.float64], NDArray[np.float64] | None]


class Cameras:
    """Identities are those of each camera: 3 of one is nobody's 3 of another.

    Args:
        embedder: shared by all.
        frame_rates: camera → frames per second.

    Attributes:
        trackers: camera → its tracker.
    """

    def __init__(
        self, embedder: PatchEmbedder, frame_rates: Mapping[str, float], config: TrackerConfig | None = None
    ) -> None:
        self.trackers = {name: Tracker(config, rate) for name, rate in frame_rates.items()}
        self.seconds = StageSeconds()
        self._embedder = embedder

    def update(self, frames: Mapping[str, CameraFrame]) -> dict[str, Tracks]:
        """The next frame of some of the cameras: camera → image (H, W, 3) RGB, boxes (D, 4), scores (D,) or None.

        Raises:
            InputError: a camera that was not named at the start, or detections that do not fit; names the camera.
        """
        unknown = sorted(set(frames) - set(self.trackers))
        if unknown:
            raise InputError(f"camera {', '.join(unknown)}: not one of {', '.join(self.trackers)}")
        from ssat.detection.detections import Detections
        from ssat.tracking.checks import checked_boxes, checked_scores

        # All are checked before any tracker goes on: an error leaves every camera where it was.
        waiting = []
        for number, (name, (image, boxes, scores)) in enumerate(frames.items()):
            try:
                sound = checked_boxes(boxes)
                if scores is not None:
                    checked_scores(scores, len(sound))
            except InputError as error:
                raise InputError(f"camera {name}: {error}") from error
            waiting.append(DetectedFrame(number, image, Detections.of_boxes(sound, np.ones(len(sound)))))
        n_patches = sum(len(frame.detections) for frame in waiting)
        embedded = with_features(waiting, self._embedder, self.seconds, max(1, n_patches))
        answer = {}
        for (name, (_, _, scores)), frame in zip(frames.items(), embedded, strict=True):
            answer[name] = self.trackers[name].update(frame.detections.boxes, frame.features, scores)
        return answer
