"""Several cameras: one tracker per camera, one embedder for all, patches embedded together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ssat.detection.detections import Detections
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.pipeline.appearance import with_features
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.tracking.checks import checked_boxes, checked_image, checked_scores
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks

CameraFrame = tuple[ArrayLike, ArrayLike, ArrayLike | None]  # image, boxes, scores


class Cameras:
    """A tracker per camera. Identities are counted per camera: 3 of one camera is not 3 of another.

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
        """Associate the next frame of some of the cameras.

        Args:
            frames: camera → image (H, W, 3) uint8 RGB, boxes (D, 4), scores (D,) or None; arrays or torch tensors.

        Raises:
            InputError: an unknown camera, or an image or detections that do not fit; names the camera.
        """
        unknown = sorted(set(frames) - set(self.trackers))
        if unknown:
            raise InputError(f"camera {', '.join(unknown)}: not one of {', '.join(self.trackers)}")
        # All inputs are checked before any tracker continues: an error leaves every camera unchanged.
        checked = {}
        for camera, frame in frames.items():
            if not isinstance(frame, tuple | list) or len(frame) != 3:
                raise InputError(f"camera {camera}: expected three values, image, boxes and scores (or None)")
            image, boxes, scores = frame
            try:
                boxes_D4 = checked_boxes(boxes)
                scores_D = None if scores is None else checked_scores(scores, len(boxes_D4))
                checked[camera] = (checked_image(image), boxes_D4, scores_D)
            except InputError as error:
                raise InputError(f"camera {camera}: {error}") from error
        waiting = [
            DetectedFrame(number, image, Detections.of_boxes(boxes_D4, np.ones(len(boxes_D4))))
            for number, (image, boxes_D4, _) in enumerate(checked.values())
        ]
        n_patches = sum(len(frame.detections) for frame in waiting)
        embedded = with_features(waiting, self._embedder, self.seconds, max(1, n_patches))
        return {
            camera: self.trackers[camera].update(boxes_D4, frame.features, scores_D)
            for (camera, (_, boxes_D4, scores_D)), frame in zip(checked.items(), embedded, strict=True)
        }
