"""Join the tracks of a finished result that show one person who left the image and returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.patches import crop_patches
from ssat.embedding.protocol import PatchEmbedder
from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.pipeline.row_features import features_of_rows
from ssat.pipeline.settings import LinkSettings
from ssat.tracking.relink import Relinked, RelinkRule, relink
from ssat.video.sources import FrameSource, Image

_PORTRAIT = (160, 80)  # height and width, pixels


@dataclass(frozen=True)
class Linked:
    """A result whose tracks were joined.

    Attributes:
        rows: the result, with the new identities; frames, boxes and scores are those that were given.
        looked_at: boxes whose appearance was computed.
        identities_before, identities: how many there are in the result.
        relinked: the joins and how far alike they had to be.
        portraits: of every identity of the given result that was joined, the box in the middle of its track (H, W, 3).
    """

    name: str
    rows: MotRows
    looked_at: int
    identities_before: int
    identities: int
    relinked: Relinked
    portraits: dict[int, Image]


def link_result(
    source: FrameSource,
    result: MotRows,
    frame_rate: float,
    embedder: PatchEmbedder,
    settings: LinkSettings,
    advance: Callable[[], None] = lambda: None,
) -> Linked:
    """Join the tracks of `result` by their appearance in the frames of `source`.

    Args:
        frame_rate: frames per second.
        advance: called after every processed frame.

    Raises:
        InputError: a result of no row or one whose frames the source does not have, or too few tracks that share a
            frame to tell how alike different people look.
    """
    if not len(result):
        raise InputError(f"{source.name}: the result holds no box: there is nothing to join")
    if source.n_frames is not None and int(result.frames[-1]) > source.n_frames:
        raise InputError(
            f"{source.name}: the result ends at frame {result.frames[-1]}, the footage has {source.n_frames} frames; "
            "expected the result of this footage"
        )
    wanted, middle = _spread(result, settings.boxes_per_track)
    portraits: dict[int, Image] = {}

    def look(image: Image, rows: NDArray[np.intp]) -> None:
        for row in np.intersect1d(rows, middle):
            portraits[int(result.ids[row])] = crop_patches(image, result.boxes[row : row + 1], _PORTRAIT)[0][0]

    features = features_of_rows(source, result, wanted, embedder, advance, look)
    rule = RelinkRule(
        max_gap_seconds=settings.max_gap_seconds,
        false_join_rate=settings.false_join_rate,
        min_boxes=settings.min_boxes,
        max_speed=settings.max_speed,
        rival_ratio=settings.rival_ratio,
        max_distance=settings.max_distance,
    )
    try:
        relinked = relink(result.frames, result.ids, result.boxes, features, frame_rate, rule)
    except InputError as error:
        raise InputError(f"{source.name}: {error}") from error
    rows = MotRows(result.frames, relinked.ids, result.boxes, result.scores, result.classes, result.has_classes)
    before, after = len(np.unique(result.ids)), len(np.unique(relinked.ids))
    joined = {identity for join in relinked.joins for identity in (join.earlier, join.later)}
    shown = {identity: portrait for identity, portrait in portraits.items() if identity in joined}
    return Linked(source.name, rows, len(wanted), before, after, relinked, shown)


def _spread(result: MotRows, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """At most so many rows of every track, evenly spread over it, ascending; and of those the middle one of each."""
    chosen, middle = [], []
    for identity in np.unique(result.ids).tolist():
        rows = np.flatnonzero(result.ids == identity)
        spread = rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.intp))]
        chosen.append(spread)
        middle.append(spread[len(spread) // 2])
    return np.sort(np.concatenate(chosen)), np.array(middle, np.intp)
