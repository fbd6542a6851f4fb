"""Sinks of the tracks of every frame: a table, the features, functions of number, image and tracks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.mot.rows import PEDESTRIAN, MotRows
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.tracking.interpolate import interpolated
from ssat.tracking.tracker import Tracks

Sink = Callable[[DetectedFrame, Tracks], None]


@dataclass(frozen=True)
class TrackedFrames:
    """Identities of a whole sequence: a row per tracked detection, sorted by frame.

    Attributes:
        frames, ids, boxes, scores: (n,), (n,), (n, 4) x1 y1 x2 y2, (n,).
        features: (n detections, F) a row per detection given, zero if a patch was empty; None if there are none.
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

    def rows(self) -> MotRows:
        """Return the result as rows of pedestrians."""
        classes = np.full(len(self.ids), PEDESTRIAN)
        return MotRows(self.frames, self.ids, self.boxes, self.scores, classes)


class ResultTable:
    """Sink that collects the tracks of all frames in one table.

    Args:
        fill_gaps: gaps of a track of up to so many frames are filled along a straight line.
    """

    def __init__(self, fill_gaps: int = 0) -> None:
        self._fill_gaps = fill_gaps
        self._numbers: list[NDArray[np.int64]] = []
        self._tracks: list[Tracks] = []

    def __call__(self, frame: DetectedFrame, tracks: Tracks) -> None:
        """Take the tracks of the next frame."""
        self._numbers.append(np.full(len(tracks), frame.number, np.int64))
        self._tracks.append(tracks)

    def tracked(self, features: NDArray[np.float32] | None, seconds: StageSeconds) -> TrackedFrames:
        """Return the tracks of all frames; who was recognised late has the former identity from their return on."""
        frames = np.concatenate([np.empty(0, np.int64), *self._numbers])
        ids = np.concatenate([np.empty(0, np.int64), *(tracks.ids for tracks in self._tracks)])
        former = dict(pair for tracks in self._tracks for pair in tracks.regained)
        if former:
            ids = np.array([former.get(identity, identity) for identity in ids.tolist()], np.int64)
        boxes = np.concatenate([np.empty((0, 4)), *(tracks.boxes for tracks in self._tracks)])
        scores = np.concatenate([np.empty(0), *(t.scores for t in self._tracks if t.scores is not None)])
        if self._fill_gaps:
            frames, ids, boxes, scores = interpolated(frames, ids, boxes, scores, self._fill_gaps)
        return TrackedFrames(frames, ids, boxes, scores, features, len(self._tracks), seconds)


class FeatureTable:
    """Sink that collects the features of the detections of a file.

    Args:
        n_detections: how many the file holds.

    Attributes:
        features: (n detections, F), zero if a patch was empty or no frame had the detection; None: no features yet.
    """

    def __init__(self, n_detections: int) -> None:
        self.features: NDArray[np.float32] | None = None
        self._n_detections = n_detections

    def __call__(self, frame: DetectedFrame, tracks: Tracks) -> None:
        """Take the features of the next frame."""
        if frame.features is None or frame.rows is None:
            return
        if self.features is None:
            self.features = np.zeros((self._n_detections, frame.features.shape[1]), np.float32)
        self.features[frame.rows] = frame.features
