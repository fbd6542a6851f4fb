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
from ssat.pipeline.reuse import EMBED, FeatureReuse
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.sources import Image

BATCH = 32  # patches that are embedded at once
_MAX_WAITING = 16  # frames held back to fill a batch


@dataclass(frozen=True)
class KnownFeatures:
    """Precomputed features of detections from a file, used instead of an embedder.

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
    """Return features (D, F) of the boxes of one frame; None without an embedder or without boxes."""
    found = Detections.of_boxes(boxes_D4, np.ones(len(boxes_D4)))
    (frame,) = with_features([DetectedFrame(0, image, found)], embedder, seconds)
    return frame.features


def with_features(
    frames: Iterable[DetectedFrame],
    embedder: PatchEmbedder | KnownFeatures | None,
    seconds: StageSeconds,
    batch: int = BATCH,
    reuse: FeatureReuse | None = None,
) -> Iterator[DetectedFrame]:
    """Yield the frames with the features of their detections, about `batch` patches embedded at a time.

    With a batch of 1 no frame waits for another. With `reuse` detections may take over features of the frame before.
    """
    if embedder is None:
        yield from frames
        return
    if isinstance(embedder, KnownFeatures):
        yield from (replace(frame, features=embedder.of(frame)) for frame in frames)
        return
    reuse = reuse or FeatureReuse()
    waiting: list[_Cut] = []
    last: NDArray[np.float32] | None = None  # features of the frame before
    n_patches = 0
    for frame in frames:
        if frame.image is None:
            raise ValueError("an embedder needs the images of the frames")
        started = time.perf_counter()
        boxes = frame.detections.boxes
        sources = reuse.sources(frame.number, boxes)
        patches, filled = crop_patches(frame.image, boxes[sources == EMBED], embedder.input_size)
        seconds.patches += time.perf_counter() - started
        waiting.append(_Cut(frame, sources, patches, filled))
        n_patches += len(patches)
        if n_patches >= batch or len(waiting) >= (_MAX_WAITING if batch > 1 else 1):
            for done in _embedded(waiting, last, embedder, seconds):
                last = done.features
                yield done
            waiting, n_patches = [], 0
    yield from _embedded(waiting, last, embedder, seconds)


@dataclass(frozen=True)
class _Cut:
    """A frame whose patches are cut out: of detections whose source is `EMBED`, with (P,) whether there is anything."""

    frame: DetectedFrame
    sources: NDArray[np.intp]
    patches: NDArray[np.uint8]
    filled: NDArray[np.bool_]


def _embedded(
    waiting: list[_Cut], last: NDArray[np.float32] | None, embedder: PatchEmbedder, seconds: StageSeconds
) -> Iterator[DetectedFrame]:
    if not waiting:
        return
    started = time.perf_counter()
    filled = np.concatenate([cut.filled for cut in waiting])
    patches = np.concatenate([cut.patches for cut in waiting])[filled]
    features, ends = None, np.cumsum([len(cut.filled) for cut in waiting])
    if len(patches):
        of_filled = embedder(patches)
        # An empty patch has no appearance: a zero row, which the tracker treats as missing.
        features = np.zeros((len(filled), of_filled.shape[1]), np.float32)
        features[filled] = of_filled
    seconds.embed += time.perf_counter() - started
    for cut, end in zip(waiting, ends.tolist(), strict=True):
        own = None if features is None else features[end - len(cut.filled) : end]
        last = _with_reused(cut.sources, own, last)
        yield replace(cut.frame, features=last)


def _with_reused(
    sources_D: NDArray[np.intp], own_PF: NDArray[np.float32] | None, last_BF: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """Return (D, F): features of a frame's own patches, and those taken over; None if no feature is known."""
    reused_D = sources_D != EMBED
    if not reused_D.any():
        return own_PF
    known = last_BF if last_BF is not None else own_PF
    if known is None:
        return None
    features_DF = np.zeros((len(sources_D), known.shape[1]), np.float32)
    if last_BF is not None:
        features_DF[reused_D] = last_BF[sources_D[reused_D]]
    if own_PF is not None:
        features_DF[~reused_D] = own_PF
    return features_DF
