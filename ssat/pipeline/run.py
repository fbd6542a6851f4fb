"""A pipeline for one input: a video, a folder of images, a sequence, a stream or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ssat.detection.other_libraries import AnyDetections
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.pipeline.appearance import KnownFeatures
from ssat.pipeline.detecting import (
    CalledDetections,
    ClosedLoop,
    FrameDetector,
    GivenDetections,
    ListedDetections,
    NetworkDetections,
)
from ssat.pipeline.inputs import TrackInput, open_input, read_frames
from ssat.pipeline.pipeline import Pipeline, moves_with_camera
from ssat.pipeline.reuse import FeatureReuse
from ssat.pipeline.sinks import Sink
from ssat.tracking.baselines import Baseline, make_tracker
from ssat.tracking.config import TrackerConfig, TrackerName
from ssat.tracking.tracker import Tracker, Tracks
from ssat.video.sources import Image

if TYPE_CHECKING:
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.detector import Detector

FindDetections = Callable[[Image], AnyDetections]


def input_pipeline(
    opened: TrackInput,
    tracker: Tracker | Baseline,
    embedder: PatchEmbedder | KnownFeatures | None = None,
    *,
    detector: Detector | FindDetections | None = None,
    refiner: CenterTrackDetector | None = None,
    listed: Iterable[AnyDetections] | None = None,
    public: bool = False,
    cache: Path | None = None,
    live: bool = False,
    images: bool = True,
    sinks: Sequence[Sink] = (),
    before: Callable[[int, Image | None], None] | None = None,
    with_lost: bool = False,
    embed_every: int = 1,
) -> Pipeline:
    """Return the pipeline that tracks `opened`.

    Args:
        detector: finds the boxes, in batches of frames, or is a function of one image; otherwise they are those of
            `opened`.
        refiner: finds the boxes, led by the tracks of the frame before; not together with `detector`.
        listed: the detections of every frame, in the place of those of `opened`.
        public: a track may begin only near a detection of `opened`; for `detector` and `refiner`.
        cache: folder in which the detector's boxes are kept.
        live: no frame waits for another, and of an input with a clock only the newest frame is taken.
        images: a sink needs the images.
        embed_every: frames from one patch of an unmistakable person to the next; see `FeatureReuse`.
    """
    boxes = _boxes(opened, detector, refiner, public, cache) if listed is None else ListedDetections(listed)
    looked_at = isinstance(boxes, NetworkDetections | CalledDetections | ClosedLoop) or moves_with_camera(tracker)
    embeds = embedder is not None and not isinstance(embedder, KnownFeatures)
    frames = read_frames(
        opened.source, opened.numbers, images=images or looked_at or embeds, newest=live and opened.clocked
    )
    reuse = FeatureReuse(embed_every)
    return Pipeline(frames, boxes, tracker, embedder, sinks, live=live, before=before, with_lost=with_lost, reuse=reuse)


def _boxes(
    opened: TrackInput,
    detector: Detector | FindDetections | None,
    refiner: CenterTrackDetector | None,
    public: bool,
    cache: Path | None,
) -> FrameDetector:
    near = opened.detections if public else None
    if refiner is not None:
        return ClosedLoop(refiner, near)
    if detector is not None and not hasattr(detector, "reads_previous"):
        return CalledDetections(detector)
    if detector is not None:
        return NetworkDetections(cast("Detector", detector), cache, getattr(opened.source, "content", None), near)
    if opened.detections is None:
        raise ValueError("neither detections nor a detector")
    return GivenDetections(opened.detections)


def track_video(
    video: Path | str,
    *,
    detections: str | Path | Iterable[AnyDetections] | None = None,
    detector: Detector | FindDetections | None = None,
    refiner: CenterTrackDetector | None = None,
    embedder: PatchEmbedder | None = None,
    config: TrackerConfig | None = None,
    tracker: TrackerName = "ssat",
    frame_rate: float | None = None,
    live: bool = False,
) -> Iterator[tuple[int, Image | None, Tracks]]:
    """Number, image (H, W, 3) RGB and tracks of every frame of an input, as they come.

    Args:
        video: a video file, a folder of images, a MOTChallenge sequence, an address or the index of a camera.
        detections: a file of detections, or those of every frame in order: boxes (D, 4), or as supervision,
            ultralytics or torchvision give them. A sequence has its own.
        detector: used instead of `detections`: `TorchvisionDetector("fasterrcnn")`, or a function that takes an image
            (H, W, 3) uint8 RGB and returns one item as above. Detections of other libraries come back with identities
            by `Tracks.labelled`.
        refiner: finds people, led by the tracks of the frame before (CenterTrack's closed loop).
        embedder: gives the appearance; None: boxes alone.
        tracker: which one; `config` is for `ssat` and `box`.
        live: no frame waits for another, and of a stream or camera only the newest frame is taken.

    Raises:
        InputError: an input or detections that cannot be used, or a tracker whose package is not installed.
    """
    named = str(detections) if isinstance(detections, str | Path) else None
    listed = None if isinstance(detections, str | Path) else detections
    detecting = detector is not None or refiner is not None or listed is not None
    if detecting and listed is not None and (detector is not None or refiner is not None):
        raise InputError("detections of every frame and a detector: expected one of the two")
    opened = open_input(video, named, frame_rate, detecting=detecting)
    chosen = make_tracker(tracker, config or TrackerConfig(), opened.frame_rate)
    pipeline = input_pipeline(opened, chosen, embedder, detector=detector, refiner=refiner, listed=listed, live=live)
    for frame, tracks in pipeline:
        yield frame.number, frame.image, tracks
