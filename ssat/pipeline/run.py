"""One input from its frames to its tracks: reading, detecting, embedding, associating."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ssat.embedding.protocol import PatchEmbedder
from ssat.pipeline.appearance import BATCH, with_features
from ssat.pipeline.frames import DetectedFrame, StageSeconds, timed
from ssat.pipeline.inputs import TrackInput, open_input
from ssat.pipeline.pipeline import associated, from_rows, in_the_loop
from ssat.tracking.config import TrackerConfig
from ssat.tracking.tracker import Tracker, Tracks
from ssat.video.sources import Image, read_ahead
from ssat.video.streams import read_latest

if TYPE_CHECKING:
    from ssat.detection.detector import Detector
    from ssat.detection.refiner import Refiner


@dataclass
class TrackRun:
    """Iterating gives every frame with its tracks, in order.

    Attributes:
        opened: frames and, where there is no detector, detections.
        embedder: None: the box tracker.
        detector: finds the boxes, frame by frame or in batches.
        refiner: finds the boxes, led by the tracks of the frame before; not together with `detector`.
        public: only near a given detection may a track begin; concerns `detector` and `refiner`.
        cache: folder in which detections are kept.
        live: no frame waits for another, and of a clocked input only the newest one is taken.
        images: somebody wants to see the images.
        before: called with number and image of every frame before it is associated.
        seconds: by stage, so far.
    """

    opened: TrackInput
    tracker: Tracker
    embedder: PatchEmbedder | None = None
    detector: Detector | None = None
    refiner: Refiner | None = None
    public: bool = False
    cache: Path | None = None
    live: bool = False
    images: bool = True
    before: Callable[[int, Image | None], None] | None = None
    seconds: StageSeconds = field(default_factory=StageSeconds)

    def __iter__(self) -> Iterator[tuple[DetectedFrame, Tracks]]:
        frames = self._frames()
        try:
            if self.refiner is not None:
                rows = self.opened.detections if self.public else None
                yield from in_the_loop(
                    self._shown(timed(frames, self.seconds)),
                    self.refiner,
                    self.tracker,
                    self.seconds,
                    embedder=self.embedder,
                    public=rows,
                    online=self.live,
                )
                return
            batch = 1 if self.live else BATCH
            embedded = with_features(self._detected(frames), self.embedder, self.seconds, batch)
            yield from associated(self._announced(embedded), self.tracker, self.seconds, online=self.live)
        finally:
            # A reading thread ends with the frames that are asked of it.
            if isinstance(frames, Iterator) and hasattr(frames, "close"):
                frames.close()

    def _announced(self, frames: Iterable[DetectedFrame]) -> Iterator[DetectedFrame]:
        for frame in frames:
            if self.before is not None:
                self.before(frame.number, frame.image)
            yield frame

    def _shown(self, frames: Iterable[tuple[int, Image | None]]) -> Iterator[tuple[int, Image | None]]:
        for number, image in frames:
            if self.before is not None:
                self.before(number, image)
            yield number, image

    def _frames(self) -> Iterator[tuple[int, Image | None]]:
        opened = self.opened
        seen = self.images or self.embedder is not None or self.detector is not None or self.refiner is not None
        if opened.source is None or (not seen and opened.numbers is not None):
            yield from ((number, None) for number in opened.numbers or ())
            return
        newest = self.live and opened.clocked
        with closing(read_latest(opened.source) if newest else read_ahead(opened.source)) as frames:  # type: ignore[type-var]
            yield from frames

    def _detected(self, frames: Iterator[tuple[int, Image | None]]) -> Iterator[DetectedFrame]:
        rows = self.opened.detections
        if self.detector is None:
            if rows is None:
                raise ValueError("neither detections nor a detector")
            yield from from_rows(timed(frames, self.seconds), rows)
            return
        import time

        from ssat.detection.detector import detected

        content = getattr(self.opened.source, "content", None)
        pictures = ((number, image) for number, image in timed(frames, self.seconds) if image is not None)
        found = iter(
            detected(pictures, self.detector, cache=self.cache, content=content, batch=1 if self.live else None)
        )
        while True:
            began, read = time.perf_counter(), self.seconds.read
            item = next(found, None)
            # Detecting asks for the frames itself: the time that it waited for them is not its own.
            self.seconds.detect += time.perf_counter() - began - (self.seconds.read - read)
            if item is None:
                return
            number, image, one = item
            near = rows.boxes[rows.at(number)] if rows is not None and self.public else None
            yield DetectedFrame(number, image, one, None, near)


def track_video(
    video: Path | str,
    *,
    detections: str | Path | None = None,
    detector: Detector | None = None,
    embedder: PatchEmbedder | None = None,
    config: TrackerConfig | None = None,
    frame_rate: float | None = None,
) -> Iterator[tuple[int, Image | None, Tracks]]:
    """Number, image (H, W, 3) RGB and tracks of every frame of an input, as they come.

    Args:
        video: a video file, a folder of images, a MOTChallenge sequence, an address or the index of a camera.
        detections: a file of detections; a sequence has its own.
        detector: finds people instead, such as `ShelfDetector("fasterrcnn")`.
        embedder: gives the appearance; None: the box tracker.

    Raises:
        InputError: an input or detections that cannot be used.
    """
    named = None if detections is None else str(detections)
    opened = open_input(video, named, frame_rate, detecting=detector is not None)
    run = TrackRun(opened, Tracker(config, opened.frame_rate), embedder, detector)
    for frame, tracks in run:
        yield frame.number, frame.image, tracks
