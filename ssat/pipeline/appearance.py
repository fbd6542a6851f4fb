"""The appearance of detections: patches cut out of the frames, embedded in batches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.embedding.patches import crop_patches
from ssat.embedding.protocol import PatchEmbedder
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.sources import Image

BATCH = 32  # patches that are embedded at once
_MAX_WAITING = 16  # frames held back to fill a batch


@dataclass(frozen=True)
class KnownFeatures:
    """Features that were computed before, in the place of an embedder; for detections of a file.

    Attributes:
        features: (n, F), a row per detection of the file.
    """

    features: NDArray[np.float32]

    def of(self, frame: DetectedFrame) -> NDArray[np.float32]:
        """Return the features of the detections of a frame."""
        if frame.rows is None:
            raise ValueError("known features belong to detections of a file")
        return self.features[frame.rows]


def features_of(
    image: Image, boxes_D4: NDArray[np.float64], embedder: PatchEmbedder | None, seconds: StageSeconds
) -> NDArray[np.float32] | None:
    """Features (D, F) of the boxes of one frame; None without an embedder or without boxes."""
    found = Detections.of_boxes(boxes_D4, np.ones(len(boxes_D4)))
    (frame,) = with_features([DetectedFrame(0, image, found)], embedder, seconds)
    return frame.features


def with_features(
    frames: Iterable[DetectedFrame],
    embedder: PatchEmbedder | KnownFeatures | None,
    seconds: StageSeconds,
    batch: int = BATCH,
) -> Iterator[DetectedFrame]:
    """The frames with the features of their detections, about `batch` patches embedded at a time.

    With a batch of 1 no frame waits for another.
    """
    if embedder is None:
        yield from frames
        return
    if isinstance(embedder, KnownFeatures):
        yield from (replace(frame, features=embedder.of(frame)) for frame in frames)
        return
    waiting: list[tuple[DetectedFrame, NDArray[np.uint8], NDArray[np.bool_]]] = []
    n_patches = 0
    for frame in frames:
        if frame.image is None:
            raise ValueError("an embedder needs the images of the frames")
        started = time.perf_counter()
        patches, filled = crop_patches(frame.image, frame.detections.boxes, embedder.input_size)
        seconds.patches += time.perf_counter() - started
        waiting.append((frame, patches, filled))
        n_patches += len(patches)
        if n_patches >= batch or len(waiting) >= (_MAX_WAITING if batch > 1 else 1):
            yield from _embedded(waiting, embedder, seconds)
            waiting, n_patches = [], 0
    yield from _embedded(waiting, embedder, seconds)


def _embedded(
    waiting: list[tuple[DetectedFrame, NDArray[np.uint8], NDArray[np.bool_]]],
    embedder: PatchEmbedder,
    seconds: StageSeconds,
) -> Iterator[DetectedFrame]:
    if not waiting:
        return
    started = time.perf_counter()
    filled = np.concatenate([item[2] for item in waiting])
    patches = np.concatenate([item[1] for item in waiting])[filled]
    features_of_frames: list[NDArray[np.float32] | None] = [None] * len(waiting)
    if len(patches):
        of_filled = embedder(patches)
        # An empty patch has no appearance: a zero row, which the tracker takes as such.
        features = np.zeros((len(filled), of_filled.shape[1]), np.float32)
        features[filled] = of_filled
        ends = np.cumsum([len(item[2]) for item in waiting])[:-1]
        features_of_frames = list(np.split(features, ends))
    seconds.embed += time.perf_counter() - started
    for (frame, _, _), frame_features in zip(waiting, features_of_frames, strict=True):
        yield replace(frame, features=frame_features)
