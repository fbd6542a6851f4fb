"""The interface of detectors, and a cache of the detections of consecutive frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.detection.cache import load_chunk, store_chunk
from ssat.detection.detections import Detections

Image = NDArray[np.uint8]
CHUNK = 32  # frames per cache file: the most that an interruption loses


class Detector(Protocol):
    """Interface of detectors; `CenterTrackDetector` and `TorchvisionDetector` implement it."""

    name: str
    digest: str
    reads_previous: bool

    @property
    def batch(self) -> int:
        """Frames that are computed together."""
        ...

    @property
    def key(self) -> str:
        """Names weights and settings."""
        ...

    def __call__(self, images: Sequence[Image], previous: Image | None = None) -> list[Detections]:
        """Return detections of consecutive frames (H, W, 3) RGB; `previous` is the frame before the first."""
        ...


def detected(
    frames: Iterable[tuple[int, Image]],
    detector: Detector,
    *,
    cache: Path | None = None,
    content: Callable[[int], str] | None = None,
    batch: int | None = None,
) -> Iterator[tuple[int, Image, Detections]]:
    """Yield every frame with its detections, in order.

    Args:
        frames: number and image, in order.
        cache: folder in which detections are kept, `CHUNK` frames a file; None: they are not.
        content: digest of the frame of a number; needed for the cache.
        batch: frames computed together, instead of the detector's own.
    """
    size = batch or detector.batch
    chunk = CHUNK if cache is not None and content is not None else size
    previous: tuple[int, Image] | None = None
    waiting: list[tuple[int, Image]] = []
    for frame in frames:
        waiting.append(frame)
        # Aligned to the numbers, so that another split of the same sequence finds the same files but at its ends.
        if (frame[0] % chunk == 0) if chunk == CHUNK and cache else len(waiting) >= chunk:
            yield from _of_chunk(waiting, previous, detector, cache, content, size)
            previous, waiting = waiting[-1], []
    if waiting:
        yield from _of_chunk(waiting, previous, detector, cache, content, size)


def _of_chunk(
    frames: list[tuple[int, Image]],
    previous: tuple[int, Image] | None,
    detector: Detector,
    cache: Path | None,
    content: Callable[[int], str] | None,
    size: int,
) -> Iterator[tuple[int, Image, Detections]]:
    known = None
    key = ""
    if cache is not None and content is not None:
        key = _key(detector, [n for n, _ in frames], None if previous is None else previous[0], content)
        known = load_chunk(cache, key, len(frames))
    if known is not None:
        yield from ((number, image, detections) for (number, image), detections in zip(frames, known, strict=True))
        return
    computed: list[Detections] = []
    before = None if previous is None else previous[1]
    for start in range(0, len(frames), size):
        part = frames[start : start + size]
        found = detector([image for _, image in part], before)
        before = part[-1][1]
        computed.extend(found)
        yield from ((number, image, detections) for (number, image), detections in zip(part, found, strict=True))
    if cache is not None and key:
        store_chunk(cache, key, computed)


def _key(detector: Detector, numbers: list[int], previous: int | None, content: Callable[[int], str]) -> str:
    before = content(previous) if detector.reads_previous and previous is not None else ""
    return hashlib.sha256(json.dumps([detector.key, before, [content(n) for n in numbers]]).encode()).hexdigest()
