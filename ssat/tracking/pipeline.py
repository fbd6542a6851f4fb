"""Frames and detections in, identities out: patches, features in batches, the tracker, a sink for each frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.mot.rows import MotRows
from ssat.tracking.patches import crop_patches
from ssat.tracking.sources import Image
from ssat.tracking.tracker import Tracker, Tracks

_BATCH = 32  # patches that are embedded at once
_MOST_WAITING = 16  # frames held back to fill a batch

Sink = Callable[[int, Image | None, Tracks], None]


class PatchEmbedder(Protocol):
    """What `ssat.embedding.embedder.Embedder` is to the tracker."""

    input_size: int

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """L2-normalised features (B, F) of RGB patches (B, S, S, 3), S = `input_size`."""
        ...


@dataclass
class StageSeconds:
    """Where the time went: seconds of wall clock per stage. `read` is waiting for a frame, not decoding it."""

    read: float = 0.0
    patches: float = 0.0
    embed: float = 0.0
    associate: float = 0.0
    draw: float = 0.0

    @property
    def tracking(self) -> float:
        """All but drawing, which is for the eye."""
        return self.read + self.patches + self.embed + self.associate


@dataclass(frozen=True)
class TrackedFrames:
    """Identities of a whole sequence: a row per tracked detection, sorted by frame.

    Attributes:
        frames, ids, boxes, scores: (n,), (n,), (n, 4) x1 y1 x2 y2, (n,).
        features: (n detections, F) a row per detection given, zero where a patch was empty; None for the box tracker.
        n_frames: frames that were seen, with or without detections.
        seconds: by stage.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    features: NDArray[np.float32] | None
    n_frames: int
    seconds: StageSeconds


@dataclass
class _Collected:
    frames: list[NDArray[np.int64]] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)


def track_frames(
    frames: Iterable[tuple[int, Image | None]],
    detections: MotRows,
    tracker: Tracker,
    *,
    embedder: PatchEmbedder | None = None,
    features: NDArray[np.float32] | None = None,
    sink: Sink | None = None,
    batch: int = _BATCH,
) -> TrackedFrames:
    """Tracks through `frames`, in their order.

    Appearance comes from `features` (a row per detection) where given, else from `embedder`, else there is none and
    this is the box tracker. Patches of several frames are embedded together; the tracker itself sees one frame after
    the other.

    Args:
        frames: number and image; the image may be None where neither embedder nor sink needs it.
        sink: called with each frame's number, image and tracks, such as `AnnotatedVideo.write`.
    """
    seconds = StageSeconds()
    collected = _Collected()
    n_frames = 0
    ready = _with_features(_timed(frames, seconds), detections, embedder, features, seconds, batch)
    computed: NDArray[np.float32] | None = features
    for number, image, rows, frame_features in ready:
        if features is None and frame_features is not None:
            if computed is None:
                computed = np.zeros((len(detections.frames), frame_features.shape[1]), np.float32)
            computed[rows] = frame_features
        started = time.perf_counter()
        tracks = tracker.update(detections.boxes[rows], frame_features, detections.scores[rows])
        associated = time.perf_counter()
        seconds.associate += associated - started
        collected.frames.append(np.full(len(tracks), number, np.int64))
        collected.tracks.append(tracks)
        n_frames += 1
        if sink is not None:
            sink(number, image, tracks)
            seconds.draw += time.perf_counter() - associated
    tracks_of = collected.tracks
    return TrackedFrames(
        frames=np.concatenate([np.empty(0, np.int64), *collected.frames]),
        ids=np.concatenate([np.empty(0, np.int64), *(tracks.ids for tracks in tracks_of)]),
        boxes=np.concatenate([np.empty((0, 4)), *(tracks.boxes for tracks in tracks_of)]),
        scores=np.concatenate([np.empty(0), *(t.scores for t in tracks_of if t.scores is not None)]),
        features=computed,
        n_frames=n_frames,
        seconds=seconds,
    )


def _timed(frames: Iterable[tuple[int, Image | None]], seconds: StageSeconds) -> Iterator[tuple[int, Image | None]]:
    iterator = iter(frames)
    while True:
        started = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        seconds.read += time.perf_counter() - started
        yield item


def _with_features(
    frames: Iterable[tuple[int, Image | None]],
    detections: MotRows,
    embedder: PatchEmbedder | None,
    features: NDArray[np.float32] | None,
    seconds: StageSeconds,
    batch: int,
) -> Iterator[tuple[int, Image | None, slice, NDArray[np.float32] | None]]:
    """Number, image, rows of the detections and their features, frame after frame."""
    if features is not None or embedder is None:
        for number, image in frames:
            rows = detections.at(number)
            yield number, image, rows, None if features is None else features[rows]
        return
    waiting: list[tuple[int, Image | None, slice, NDArray[np.uint8], NDArray[np.bool_]]] = []
    n_patches = 0
    for number, image in frames:
        if image is None:
            raise ValueError("an embedder needs the images of the frames")
        rows = detections.at(number)
        started = time.perf_counter()
        patches, filled = crop_patches(image, detections.boxes[rows], embedder.input_size)
        seconds.patches += time.perf_counter() - started
        waiting.append((number, image, rows, patches, filled))
        n_patches += len(patches)
        if n_patches >= batch or len(waiting) >= _MOST_WAITING:
            yield from _embedded(waiting, embedder, seconds)
            waiting, n_patches = [], 0
    yield from _embedded(waiting, embedder, seconds)


def _embedded(
    waiting: list[tuple[int, Image | None, slice, NDArray[np.uint8], NDArray[np.bool_]]],
    embedder: PatchEmbedder,
    seconds: StageSeconds,
) -> Iterator[tuple[int, Image | None, slice, NDArray[np.float32] | None]]:
    if not waiting:
        return
    started = time.perf_counter()
    filled = np.concatenate([item[4] for item in waiting])
    patches = np.concatenate([item[3] for item in waiting])[filled]
    features_of_frames: list[NDArray[np.float32] | None] = [None] * len(waiting)
    if len(patches):
        of_filled = embedder(patches)
        # An empty patch has no appearance: a zero row, which the tracker takes as such.
        features = np.zeros((len(filled), of_filled.shape[1]), np.float32)
        features[filled] = of_filled
        ends = np.cumsum([len(item[4]) for item in waiting])[:-1]
        features_of_frames = list(np.split(features, ends))
    seconds.embed += time.perf_counter() - started
    for (number, image, rows, _, _), frame_features in zip(waiting, features_of_frames, strict=True):
        yield number, image, rows, frame_features
