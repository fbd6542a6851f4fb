"""The one way from frames to tracks: read, detect, embed, associate, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ssat.detection.public_support import publicly_supported
from ssat.embedding.protocol import PatchEmbedder
from ssat.mot.rows import MotRows
from ssat.pipeline.appearance import BATCH, KnownFeatures, with_features
from ssat.pipeline.detecting import FrameDetector, GivenDetections, NumberedImage
from ssat.pipeline.frames import DetectedFrame, FrameCheck, timed
from ssat.pipeline.reuse import FeatureReuse
from ssat.pipeline.sinks import FeatureTable, ResultTable, Sink, TrackedFrames
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.tracking.baselines import Baseline
from ssat.tracking.camera_motion import CameraMotion
from ssat.tracking.confirmation import backdated
from ssat.tracking.tracker import InitRule, Tracker, Tracks
from ssat.video.sources import Image


@dataclass
class Pipeline:
    """Iterating gives every frame with its tracks, in order; a pipeline runs once.

    Attributes:
        source: number and image of every frame; the image may be None if no stage needs it. A number that is left
            out is a frame that was never read.
        detector: where the boxes come from.
        tracker: gives them identities.
        embedder: gives the appearance; None: the tracker sees boxes alone.
        sinks: called with every frame and its tracks.
        live: no frame waits for another; otherwise patches of several frames are embedded together, and a track that
            is confirmed late is shown from its beginning.
        before: called with number and image of every frame before it is associated, such as `Explainer.seen`.
        batch: patches that are embedded together.
        with_lost: the frames say which tracks are lost.
        camera: number of a frame → (2, 3) motion of the background that is known, in the place of an estimate.
        reuse: which detections take over the feature of the frame before; by default none.
        seconds: by stage, so far.
    """

    source: Iterable[NumberedImage]
    detector: FrameDetector
    tracker: Tracker | Baseline
    embedder: PatchEmbedder | KnownFeatures | None = None
    sinks: Sequence[Sink] = ()
    live: bool = False
    before: Callable[[int, Image | None], None] | None = None
    batch: int = BATCH
    with_lost: bool = False
    camera: Mapping[int, NDArray[np.float64]] | None = None
    reuse: FeatureReuse = field(default_factory=FeatureReuse)
    seconds: StageSeconds = field(default_factory=StageSeconds)

    def __iter__(self) -> Iterator[tuple[DetectedFrame, Tracks]]:
        """Track frame after frame.

        Raises:
            InputError: frame numbers that do not rise, frames of different sizes, or a frame that cannot be read.
        """
        one_by_one = self.live or self.detector.reads_tracks
        with closing(timed(self.source, self.seconds)) as frames:
            detected = self.detector.detect(frames, self.seconds, live=self.live)
            batch = 1 if one_by_one else self.batch
            embedded = with_features(detected, self.embedder, self.seconds, batch, self.reuse)
            associated = backdated(self._associate(embedded), 1 if self.live else _confirm_hits(self.tracker))
            for frame, tracks in associated:
                self._write(frame, tracks)
                yield frame, tracks

    def run(self) -> StageSeconds:
        """Track all frames; the sinks have the results."""
        for _ in self:
            pass
        return self.seconds

    def _associate(self, frames: Iterable[DetectedFrame]) -> Iterator[tuple[DetectedFrame, Tracks]]:
        check = FrameCheck()
        camera = CameraMotion() if moves_with_camera(self.tracker) else None
        for frame in frames:
            if self.before is not None:
                self.before(frame.number, frame.image)
            began = time.perf_counter()
            if frame.starts_only:
                tracks, moved = self._update(frame, None), None
            else:
                self.tracker.skip(check(frame.number, frame.image))
                if camera is not None and self.camera is not None:
                    moved = self.camera.get(frame.number)
                elif camera is not None and frame.image is not None:
                    moved = camera.estimate(frame.image, frame.detections.boxes)
                else:
                    moved = None
                tracks = self._update(frame, moved)
            self.detector.follow(tracks)
            self.seconds.associate += time.perf_counter() - began
            if not frame.starts_only:
                lost = self.tracker.lost if self.with_lost and isinstance(self.tracker, Tracker) else None
                yield replace(frame, lost=lost) if lost is not None else frame, tracks

    def _update(self, frame: DetectedFrame, moved: NDArray[np.float64] | None) -> Tracks:
        found, init_rule = frame.detections, _near_public(frame)
        if isinstance(self.tracker, Tracker):
            tracks = self.tracker.update(found.boxes, frame.features, found.scores, init_rule=init_rule, camera=moved)
        else:
            tracks = self.tracker.associate(found, frame.features, init_rule)
        return tracks if found.given is None else replace(tracks, given=found.given)

    def _write(self, frame: DetectedFrame, tracks: Tracks) -> None:
        began = time.perf_counter()
        for sink in self.sinks:
            sink(frame, tracks)
        self.seconds.draw += time.perf_counter() - began


def track_frames(
    frames: Iterable[NumberedImage],
    detections: MotRows,
    tracker: Tracker | Baseline,
    *,
    embedder: PatchEmbedder | None = None,
    features: NDArray[np.float32] | None = None,
    sink: Callable[[int, Image | None, Tracks], None] | None = None,
    batch: int = BATCH,
    public: MotRows | None = None,
    fill_gaps: int = 0,
    camera: Mapping[int, NDArray[np.float64]] | None = None,
) -> TrackedFrames:
    """Track given detections through `frames`, in their order, into one table.

    Args:
        frames: number and image; the image may be None if neither embedder nor sink needs it.
        embedder: gives the appearance; None and no `features`: the tracker sees boxes alone.
        features: (n detections, F) that were computed before, in the place of the embedder.
        sink: called with each frame's number, image and tracks, such as `AnnotatedVideo.write`.
        public: boxes near which tracks may begin; by default each detection that no track takes begins one.
        fill_gaps: gaps of a track of up to so many frames are filled in the table.
        camera: as in `Pipeline`.

    Raises:
        InputError: as `Pipeline`.
    """
    table, computed = ResultTable(fill_gaps), FeatureTable(len(detections))
    sinks: list[Sink] = [table, computed]
    if sink is not None:
        sinks.append(lambda frame, tracks: sink(frame.number, frame.image, tracks))
    known = embedder if features is None else KnownFeatures(features)
    pipeline = Pipeline(frames, GivenDetections(detections, public), tracker, known, sinks, batch=batch, camera=camera)
    seconds = pipeline.run()
    return table.tracked(computed.features if features is None else features, seconds)


def _confirm_hits(tracker: Tracker | Baseline) -> int:
    return tracker.config.confirm_hits if isinstance(tracker, Tracker) else 1


def moves_with_camera(tracker: Tracker | Baseline) -> bool:
    """Return whether the tracker follows the background, for which it needs the images."""
    return isinstance(tracker, Tracker) and tracker.config.camera_motion


def _near_public(frame: DetectedFrame) -> InitRule | None:
    """Return the rule by which tracks start near public boxes only, where there are any to go by."""
    public, found = frame.public, frame.detections
    if public is None:
        return None
    return lambda rows: publicly_supported(public, found.boxes[rows], found.centres[rows])
