"""The appearance of boxes of a file: of some rows, from the frames that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.appearance import with_features
from ssat.pipeline.frames import DetectedFrame
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.sources import FrameSource, Image, ImageSource, read_ahead


def features_of_rows(
    source: FrameSource,
    rows: MotRows,
    wanted: NDArray[np.intp],
    embedder: PatchEmbedder,
    advance: Callable[[], None] = lambda: None,
    look: Callable[[Image, NDArray[np.intp]], None] = lambda image, rows: None,
) -> NDArray[np.float32]:
    """Yield features (n, F) of the `wanted` rows, ascending; the others are zero.

    Args:
        source: the frames that the rows' numbers count.
        advance: called after every frame that holds a wanted row.
        look: called with every such frame and the wanted rows in it.

    Raises:
        InputError: the frames end before the rows do.
    """

    def detected() -> Iterator[DetectedFrame]:
        for number, image in wanted_frames(source, numbers):
            at = wanted[np.searchsorted(numbers_of_rows, number) : np.searchsorted(numbers_of_rows, number, "right")]
            look(image, at)
            yield DetectedFrame(number, image, Detections.of_boxes(rows.boxes[at], rows.scores[at]))
            advance()

    numbers_of_rows = rows.frames[wanted]
    numbers = np.unique(numbers_of_rows)
    matrix: NDArray[np.float32] | None = None
    seen = 0
    for frame in with_features(detected(), embedder, StageSeconds()):
        at = wanted[seen : seen + len(frame.detections)]
        seen += len(at)
        if frame.features is not None:
            if matrix is None:
                matrix = np.zeros((len(rows), frame.features.shape[1]), np.float32)
            matrix[at] = frame.features
    if seen != len(wanted) or matrix is None:
        raise InputError(f"{source.name}: of {len(wanted)} boxes only {seen} have a frame: the frames end early")
    return matrix


def wanted_frames(source: FrameSource, wanted: NDArray[np.int64]) -> Iterator[tuple[int, Image]]:
    """Yield number and image of the frames of those numbers.

    Of images no others are read, and nothing after the last.
    """
    asked, last = set(wanted.tolist()), int(wanted.max(initial=0))
    if isinstance(source, ImageSource):
        kept = [at for at, number in enumerate(source.numbers) if number in asked]
        source = replace(source, paths=[source.paths[at] for at in kept], numbers=[source.numbers[at] for at in kept])
    with closing(read_ahead(source)) as frames:  # type: ignore[type-var]
        for number, image in frames:
            if number in asked:
                yield number, image
            if number >= last:
                return
