"""Sources of the boxes of a frame: a file, a network, or a network led by the last tracks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections, middles
from ssat.detection.other_libraries import AnyDetections, boxes_and_scores
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.frames import DetectedFrame, timed
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.tracking.checks import checked_boxes, checked_scores
from ssat.tracking.tracker import Tracks
from ssat.video.sources import FrameSource, Image, read_ahead

if TYPE_CHECKING:
    from ssat.detection.centertrack_detector import CenterTrackDetector
    from ssat.detection.detector import Detector

NumberedImage = tuple[int, Image | None]


class FrameDetector(Protocol):
    """Detector of consecutive frames."""

    @property
    def reads_tracks(self) -> bool:
        """Whether the tracks of a frame lead the detections of the next: then no frame may wait for another."""
        ...

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """Yield every frame with its detections.

        Args:
            seconds: takes the time of detecting.
            live: no frame waits for another.
        """
        ...

    def follow(self, tracks: Tracks) -> None:
        """Take the tracks of the frame that was yielded last."""
        ...


@dataclass(frozen=True)
class GivenDetections:
    """Detections of a file.

    Attributes:
        rows: all of them; a frame takes those of its number.
        public: boxes near which tracks may begin; None: each detection that no track takes begins one.
        centres: (n, 2) of the detections, where they are not the middles of the boxes.
        offsets: (n, 2) from there to where each was in the frame before, where a network says so.
    """

    rows: MotRows
    public: MotRows | None = None
    centres: NDArray[np.float64] | None = None
    offsets: NDArray[np.float64] | None = None
    reads_tracks: bool = field(default=False, init=False)

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """See the protocol."""
        for number, image in frames:
            at = self.rows.at(number)
            boxes = self.rows.boxes[at]
            centres = middles(boxes) if self.centres is None else self.centres[at]
            offsets = np.zeros((len(boxes), 2)) if self.offsets is None else self.offsets[at]
            detections = Detections(boxes, self.rows.scores[at], centres, offsets)
            yield DetectedFrame(number, image, detections, at, _near(self.public, number))

    def follow(self, tracks: Tracks) -> None:
        """Do nothing: a file does not change."""


@dataclass(frozen=True)
class NetworkDetections:
    """Detections of a network that processes the frames.

    Attributes:
        cache: folder in which detections are kept; None: they are not.
        content: digest of the frame of a number; needed for the cache.
        public: as for `GivenDetections`.
    """

    detector: Detector
    cache: Path | None = None
    content: Callable[[int], str] | None = None
    public: MotRows | None = None
    reads_tracks: bool = field(default=False, init=False)

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """See the protocol."""
        from ssat.detection.detector import detected

        images = ((number, image) for number, image in frames if image is not None)
        batch = 1 if live else None
        found = iter(detected(images, self.detector, cache=self.cache, content=self.content, batch=batch))
        while True:
            began, read = time.perf_counter(), seconds.read
            item = next(found, None)
            # Detecting reads the frames itself: the time spent waiting for them is not counted as detecting.
            seconds.detect += time.perf_counter() - began - (seconds.read - read)
            if item is None:
                return
            number, image, detections = item
            yield DetectedFrame(number, image, detections, None, _near(self.public, number))

    def follow(self, tracks: Tracks) -> None:
        """Do nothing: the network processes each frame alone."""


@dataclass(frozen=True)
class CalledDetections:
    """Detections of a function of the caller.

    Attributes:
        find: image (H, W, 3) uint8 RGB → its detections: boxes (D, 4), or as supervision, ultralytics or torchvision
            give them.
    """

    find: Callable[[Image], AnyDetections]
    reads_tracks: bool = field(default=False, init=False)

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """See the protocol."""
        for number, image in frames:
            if image is None:
                raise ValueError("a detector needs the images of the frames")
            began = time.perf_counter()
            detections = checked_detections(self.find(image), number)
            seconds.detect += time.perf_counter() - began
            yield DetectedFrame(number, image, detections)

    def follow(self, tracks: Tracks) -> None:
        """Do nothing: the function processes each frame alone."""


@dataclass(frozen=True)
class ListedDetections:
    """Detections given as a list, one item for each frame, in the order of the frames.

    Attributes:
        frames: what `CalledDetections.find` returns, for every frame; empty if there is nothing.
    """

    frames: Iterable[AnyDetections]
    reads_tracks: bool = field(default=False, init=False)

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """See the protocol. Raises InputError if there are more frames than detections, or fewer."""
        remaining = iter(self.frames)
        for read, (number, image) in enumerate(frames):
            began = time.perf_counter()
            try:
                found = next(remaining)
            except StopIteration:
                raise InputError(
                    f"frame {number}: there are detections of {read} frames only; expected one item for each frame, "
                    "empty if nothing was detected"
                ) from None
            detections = checked_detections(found, number)
            seconds.detect += time.perf_counter() - began
            yield DetectedFrame(number, image, detections)
        if isinstance(self.frames, Sized):
            left = sum(1 for _ in remaining)
            if left:
                raise InputError(
                    f"there are detections of {len(self.frames)} frames, {left} more than frames; expected one item "
                    "for each frame"
                )

    def follow(self, tracks: Tracks) -> None:
        """Do nothing: the detections are known."""


def checked_detections(found: AnyDetections, number: int) -> Detections:
    """Return the detections of one frame; scores are 1 if there are none.

    Args:
        number: of the frame, which an error names.

    Raises:
        InputError: as `Tracker.update`.
    """
    try:
        other = boxes_and_scores(found)
        boxes, scores = (found, None) if other is None else other
        boxes_D4 = checked_boxes(boxes)  # type: ignore[arg-type]  # an array where it is of no other type
        scores_D = np.ones(len(boxes_D4)) if scores is None else checked_scores(scores, len(boxes_D4))
    except InputError as error:
        raise InputError(f"frame {number}: {error}") from error
    return replace(Detections.of_boxes(boxes_D4, scores_D), given=None if other is None else found)


class ClosedLoop:
    """Detections of CenterTrack's network, which the tracks of the frame before lead.

    With public detections, those of the first frame are its first tracks, and a track begins only near one.
    """

    reads_tracks = True

    def __init__(self, refiner: CenterTrackDetector, public: MotRows | None = None) -> None:
        self._refiner = refiner
        self._public = public
        self._tracks_N4 = np.empty((0, 4))

    def detect(self, frames: Iterable[NumberedImage], seconds: StageSeconds, *, live: bool) -> Iterator[DetectedFrame]:
        """See the protocol."""
        previous: Image | None = None
        for number, image in frames:
            if image is None:
                raise ValueError("the refinement needs the images of the frames")
            near = _near(self._public, number)
            if previous is None and near is not None and len(near):
                yield DetectedFrame(number, image, Detections.of_boxes(near, np.ones(len(near))), starts_only=True)
                self._tracks_N4 = near
            began = time.perf_counter()
            detections = self._refiner.in_the_loop(image, previous, self._tracks_N4)
            seconds.detect += time.perf_counter() - began
            previous = image
            yield DetectedFrame(number, image, detections, None, near)

    def follow(self, tracks: Tracks) -> None:
        """Draw the confident tracks for the next frame."""
        assert tracks.scores is not None  # noqa: S101 - detections have scores; for the type checker
        self._tracks_N4 = tracks.boxes[tracks.scores >= self._refiner.settings.prior_threshold]


@dataclass(frozen=True)
class DetectedRows:
    """The detections of all frames of a source, as a table.

    Attributes:
        rows: with identity −1.
        centres: (n, 2) pixels, of every detection.
        offsets: (n, 2) pixels from there to where it was in the frame before; 0 if the network does not say.
    """

    rows: MotRows
    centres: NDArray[np.float64]
    offsets: NDArray[np.float64]


def detect_all(
    source: FrameSource, detector: Detector, cache: Path | None, advance: Callable[[], None] = lambda: None
) -> DetectedRows:
    """Detect in every frame of `source`.

    Args:
        cache: folder in which detections are kept.
        advance: called after every frame.

    Raises:
        InputError: no frame, or one that cannot be decoded.
    """
    numbers, found, seconds = [], [], StageSeconds()
    detecting = NetworkDetections(detector, cache, getattr(source, "content", None))
    with closing(read_ahead(source)) as frames:  # type: ignore[type-var]
        for frame in detecting.detect(timed(frames, seconds), seconds, live=False):
            numbers.append(frame.number)
            found.append(frame.detections)
            advance()
    if not found:
        raise InputError(f"{source.name}: no frame; expected at least one")
    lengths = [len(detections) for detections in found]
    ones = np.ones(sum(lengths), np.int64)
    rows = MotRows(
        np.repeat(np.array(numbers, np.int64), lengths),
        -ones,
        np.concatenate([detections.boxes for detections in found]),
        np.concatenate([detections.scores for detections in found]),
        ones,
    )
    return DetectedRows(
        rows,
        np.concatenate([detections.centres for detections in found]),
        np.concatenate([detections.offsets for detections in found]),
    )


def _near(public: MotRows | None, number: int) -> NDArray[np.float64] | None:
    return None if public is None else public.boxes[public.at(number)]
