"""Frames with their detections and features, checked and timed on their way to the tracker."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.errors import InputError
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.sources import Image


@dataclass(frozen=True)
class DetectedFrame:
    """A frame, what was detected in it, and what is known of the appearance.

    Attributes:
        image: (H, W, 3) RGB; None if nothing needs it.
        rows: where its detections stand among those of the whole sequence, where they come from a file.
        public: (P, 4) boxes near which a track may begin; None: anywhere.
        features: (D, F), zero rows where a patch was empty; None: not known.
        starts_only: its detections start tracks; the frame itself follows and is the one that is shown.
        lost: identities (L,) and last boxes (L, 4) of the tracks that are lost after this frame, where asked for.
    """

    number: int
    image: Image | None
    detections: Detections
    rows: slice | None = None
    public: NDArray[np.float64] | None = None
    features: NDArray[np.float32] | None = None
    starts_only: bool = False
    lost: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None


class FrameCheck:
    """Frame numbers must rise and frames keep their size: a tracker's boxes are in pixels of one picture."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._size: tuple[int, int] | None = None

    def __call__(self, number: int, image: Image | None) -> int:
        """Return the number of frames left out before this one. Raises InputError."""
        skipped = 0
        if self._number is not None:
            skipped = number - self._number - 1
            if skipped < 0:
                raise InputError(f"frame {number} comes after frame {self._number}: expected rising frame numbers")
        self._number = number
        if image is not None:
            size = (image.shape[1], image.shape[0])
            if self._size is not None and size != self._size:
                raise InputError(
                    f"frame {number} has {size[0]}x{size[1]} pixels, those before it {self._size[0]}x{self._size[1]}: "
                    "a track's box has no meaning in another size; cut the video there and track the parts"
                )
            self._size = size
        return skipped


def timed(
    frames: Iterable[tuple[int, Image | None]], seconds: StageSeconds
) -> Generator[tuple[int, Image | None], None, None]:
    """Yield the same frames and record the time spent waiting for them; closing it closes `frames`."""
    iterator = iter(frames)
    try:
        while True:
            started = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            seconds.read += time.perf_counter() - started
            yield item
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
