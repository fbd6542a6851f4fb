"""The demo's pictures: two trackers on the same frames, in two columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.demo.clips import write_video
from ssat.mot.rows import MotRows, read_results
from ssat.mot.sequence import MotSequence
from ssat.tracking import Tracks
from ssat.video.annotated import TrackPainter
from ssat.video.image_files import read_image
from ssat.video.pictures import write_png

_CAPTION = 24  # pixels above each picture
_MAX_WIDTH = 640


def side_by_side(sequence: MotSequence, results: Mapping[str, Path]) -> Iterator[NDArray[np.uint8]]:
    """Yield every frame (H', W', 3) RGB with the tracks of each result file, left to right, with their names above.

    Args:
        sequence: with frames.
        results: name shown → result file in MOTChallenge form.

    Raises:
        InputError: a result file or a frame that cannot be read.
    """
    rows = {name: read_results(path, sequence.n_frames) for name, path in results.items()}
    painters = {name: TrackPainter(sequence.frame_rate, _MAX_WIDTH) for name in rows}
    for number in range(1, sequence.n_frames + 1):
        image = read_image(sequence.image_path(number))
        yield np.hstack(
            [_captioned(painters[name].paint(number, image, _tracks(rows[name], number)), name) for name in rows]
        )


def write_showcase(
    sequences: Sequence[MotSequence], results: Mapping[str, Mapping[str, Path]], video: Path, stills: Path, count: int
) -> None:
    """Write the comparison as an mp4, and `count` moments of it as a PNG.

    Args:
        sequences: in the order they are shown, one after another; all of one size and frame rate.
        results: sequence name → name shown → result file.
        video: the mp4.
        stills: the PNG.
        count: moments for the PNG, spread evenly over all frames.
    """
    total = sum(sequence.n_frames for sequence in sequences)
    wanted = {int((n + 0.5) * total / count) for n in range(count)}
    kept: list[NDArray[np.uint8]] = []

    def frames() -> Iterable[NDArray[np.uint8]]:
        shown = (frame for sequence in sequences for frame in side_by_side(sequence, results[sequence.name]))
        for index, frame in enumerate(shown):
            if index in wanted:
                kept.append(frame)
            yield frame

    write_video(video, frames(), round(sequences[0].frame_rate))
    write_png(np.vstack(kept), stills)


def _tracks(rows: MotRows, frame: int) -> Tracks:
    part = rows.at(frame)
    return Tracks(rows.ids[part], rows.boxes[part], np.arange(part.stop - part.start), rows.scores[part])


def _captioned(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    bar = np.full((_CAPTION, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, text, (6, _CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (31, 41, 51), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])
