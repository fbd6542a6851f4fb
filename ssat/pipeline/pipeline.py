"""Frames and detections in, identities out: patches, features in batches, the tracker, a sink for each frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssat.detection.births import publicly_supported
from ssat.detection.detections import Detections, middles
from ssat.embedding.protocol import PatchEmbedder
from ssat.mot.rows import MotRows
from ssat.pipeline.appearance import BATCH, features_of, with_features
from ssat.pipeline.frames import DetectedFrame, FrameCheck, StageSeconds, timed
from ssat.tracking.baselines import Baseline
from ssat.tracking.camera_motion import CameraMotion
from ssat.tracking.confirmation import backdated
from ssat.tracking.tracker import Births, Tracker, Tracks
from ssat.video.sources import Image

if TYPE_CHECKING:
    from ssat.detection.refiner import Refiner

Sink = Callable[[int, Image | None, Tracks], None]


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
class Collected:
    """The tracks of frame after frame, as one table."""

    frames: list[NDArray[np.int64]] = field(default_factory=list)
    tracks: list[Tracks] = field(default_factory=list)

    def add(self, number: int, tracks: Tracks) -> None:
        """The tracks of the next frame."""
        self.frames.append(np.full(len(tracks), number, np.int64))
        self.tracks.append(tracks)

    def table(self, features: NDArray[np.float32] | None, seconds: StageSeconds) -> TrackedFrames:
        """All of them; who was recognised some time after their return has the former identity from there on."""
        ids = np.concatenate([np.empty(0, np.int64), *(tracks.ids for tracks in self.tracks)])
        former = dict(pair for tracks in self.tracks for pair in tracks.regained)
        if former:
            ids = np.array([former.get(identity, identity) for identity in ids.tolist()], np.int64)
        return TrackedFrames(
            frames=np.concatenate([np.empty(0, np.int64), *self.frames]),
            ids=ids,
            boxes=np.concatenate([np.empty((0, 4)), *(tracks.boxes for tracks in self.tracks)]),
            scores=np.concatenate([np.empty(0), *(t.scores for t in self.tracks if t.scores is not None)]),
            features=features,
            n_frames=len(self.frames),
            seconds=seconds,
        )


def track_frames(
    frames: Iterable[tuple[int, Image | None]],
    detections: MotRows,
    tracker: Tracker | Baseline,
    *,
    embedder: PatchEmbedder | None = None,
    features: NDArray[np.float32] | None = None,
    sink: Sink | None = None,
    batch: int = BATCH,
    public: MotRows | None = None,
    centres: NDArray[np.float64] | None = None,
    offsets: NDArray[np.float64] | None = None,
) -> TrackedFrames:
    """Tracks through `frames`, in their order.

    Appearance comes from `features` (a row per detection) where given, else from `embedder`, else there is none and
    this is the box tracker. Patches of several frames are embedded together; the tracker itself sees one frame after
    the other.

    Args:
        frames: number and image; the image may be None where neither embedder nor sink needs it.
        sink: called with each frame's number, image and tracks, such as `AnnotatedVideo.write`.
        public: boxes near which tracks may begin; by default each detection that no track takes begins one.
        centres: (n, 2) of the detections, where they are not the middles of the boxes.
        offsets: (n, 2) from there to where each was in the frame before, where the detector says so.

    Raises:
        InputError: frame numbers that do not rise, or frames of different sizes.
    """
    seconds = StageSeconds()
    collected = Collected()
    computed = features
    detected = from_rows(timed(frames, seconds), detections, public, centres, features, offsets)
    embedded = with_features(detected, embedder, seconds, batch) if features is None else detected
    for frame, tracks in associated(embedded, tracker, seconds):
        if features is None and frame.features is not None:
            if computed is None:
                computed = np.zeros((len(detections.frames), frame.features.shape[1]), np.float32)
            computed[frame.rows] = frame.features
        collected.add(frame.number, tracks)
        if sink is not None:
            began = time.perf_counter()
            sink(frame.number, frame.image, tracks)
            seconds.draw += time.perf_counter() - began
    return collected.table(computed, seconds)


def from_rows(
    frames: Iterable[tuple[int, Image | None]],
    detections: MotRows,
    public: MotRows | None = None,
    centres: NDArray[np.float64] | None = None,
    features: NDArray[np.float32] | None = None,
    offsets: NDArray[np.float64] | None = None,
) -> Iterator[DetectedFrame]:
    """Every frame with its detections from a file."""
    for number, image in frames:
        rows = detections.at(number)
        boxes = detections.boxes[rows]
        middle = middles(boxes) if centres is None else centres[rows]
        moved = np.zeros((len(boxes), 2)) if offsets is None else offsets[rows]
        found = Detections(boxes, detections.scores[rows], middle, moved)
        near = None if public is None else public.boxes[public.at(number)]
        yield DetectedFrame(number, image, found, rows, near, None if features is None else features[rows])


def associated(
    frames: Iterable[DetectedFrame], tracker: Tracker | Baseline, seconds: StageSeconds, *, online: bool = False
) -> Iterator[tuple[DetectedFrame, Tracks]]:
    """Every frame with its tracks. A number that is left out is a frame that nobody saw.

    Args:
        online: no frame waits for another; otherwise a track that is confirmed late is shown from its beginning.

    Raises:
        InputError: frame numbers that do not rise, or frames of different sizes.
    """
    yield from backdated(_associated(frames, tracker, seconds), 1 if online else _confirm_hits(tracker))


def _confirm_hits(tracker: Tracker | Baseline) -> int:
    return tracker.config.confirm_hits if isinstance(tracker, Tracker) else 1


def _associated(
    frames: Iterable[DetectedFrame], tracker: Tracker | Baseline, seconds: StageSeconds
) -> Iterator[tuple[DetectedFrame, Tracks]]:
    check = FrameCheck()
    camera = CameraMotion() if isinstance(tracker, Tracker) and tracker.config.camera_motion else None
    for frame in frames:
        began = time.perf_counter()
        tracker.skip(check(frame.number, frame.image))
        found = frame.detections
        moved = None if camera is None or frame.image is None else camera.estimate(frame.image, found.boxes)
        tracks = _tracked(tracker, found, frame.features, birth_rule(frame.public, found), moved)
        seconds.associate += time.perf_counter() - began
        yield frame, tracks


def _tracked(
    tracker: Tracker | Baseline,
    found: Detections,
    features: NDArray[np.float32] | None,
    births: Births | None,
    camera: NDArray[np.float64] | None,
) -> Tracks:
    if isinstance(tracker, Tracker):
        return tracker.update(found.boxes, features, found.scores, births=births, camera=camera)
    return tracker.associate(found, features, births)


def in_the_loop(
    frames: Iterable[tuple[int, Image | None]],
    refiner: Refiner,
    tracker: Tracker | Baseline,
    seconds: StageSeconds,
    *,
    embedder: PatchEmbedder | None = None,
    public: MotRows | None = None,
    online: bool = False,
) -> Iterator[tuple[DetectedFrame, Tracks]]:
    """Every frame with its tracks, where the tracks of each frame help to detect in the next one.

    With public detections, those of the first frame are its first tracks, and a track begins only near one.

    Args:
        online: as for `associated`.

    Raises:
        InputError: as `associated`.
    """
    looped = _in_the_loop(frames, refiner, tracker, seconds, embedder, public)
    yield from backdated(looped, 1 if online else _confirm_hits(tracker))


def _in_the_loop(
    frames: Iterable[tuple[int, Image | None]],
    refiner: Refiner,
    tracker: Tracker | Baseline,
    seconds: StageSeconds,
    embedder: PatchEmbedder | None,
    public: MotRows | None,
) -> Iterator[tuple[DetectedFrame, Tracks]]:
    check = FrameCheck()
    camera = CameraMotion() if isinstance(tracker, Tracker) and tracker.config.camera_motion else None
    previous: Image | None = None
    drawn = np.empty((0, 4))
    for number, image in frames:
        if image is None:
            raise ValueError("the refinement needs the images of the frames")
        tracker.skip(check(number, image))
        near = None if public is None else public.boxes[public.at(number)]
        if previous is None and near is not None and len(near):
            given = Detections.of_boxes(near, np.ones(len(near)))
            _tracked(tracker, given, features_of(image, near, embedder, seconds), None, None)
            drawn = near
        began = time.perf_counter()
        found = refiner.in_the_loop(image, previous, drawn)
        seconds.detect += time.perf_counter() - began
        features = features_of(image, found.boxes, embedder, seconds)
        began = time.perf_counter()
        moved = None if camera is None else camera.estimate(image, found.boxes)
        tracks = _tracked(tracker, found, features, birth_rule(near, found), moved)
        seconds.associate += time.perf_counter() - began
        assert tracks.scores is not None  # noqa: S101 - they were given; for the type checker
        drawn = tracks.boxes[tracks.scores >= refiner.settings.prior_threshold]
        previous = image
        yield DetectedFrame(number, image, found, None, near, features), tracks


def birth_rule(public: NDArray[np.float64] | None, found: Detections) -> Births | None:
    """Near public boxes only, where there are any to go by."""
    if public is None:
        return None
    return lambda rows: publicly_supported(public, found.boxes[rows], found.centres[rows])
