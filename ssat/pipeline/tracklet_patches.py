"""Patches of unlabelled footage that are known to show one person each: the boxes of tracklets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.rows import MotRows
from ssat.patches.clips import CUT_HEIGHT, CUT_WIDTH, PatchTable, cut_out, joined
from ssat.pipeline.footage import last_frame
from ssat.pipeline.inputs import TrackInput
from ssat.pipeline.row_features import wanted_frames
from ssat.tracking.tracklets import LinkRule, link_tracklets

_TOGETHER_SECONDS = 2.0  # tracklets whose middles lie in one such span count as seen in the same frames


@dataclass(frozen=True)
class TrackletRule:
    """Choice of tracklets and boxes.

    Attributes:
        min_boxes: tracklets of fewer boxes are left out.
        boxes: kept of a tracklet, spread over its time.
        most: tracklets of one piece of footage, evenly spread where there are more.
    """

    min_boxes: int = 5
    boxes: int = 12
    most: int = 300


def tracklet_patches(
    footages: Sequence[TrackInput],
    until: float = 1.0,
    rule: TrackletRule | None = None,
    advance: Callable[[], None] = lambda: None,
) -> PatchTable:
    """Cut out boxes of the tracklets of the first share `until` of every piece of footage: each tracklet a patch.

    Args:
        footages: with detections and frames.
        until: share of the frames that is used.
        rule: which tracklets and boxes.
        advance: called after every processed frame.

    Raises:
        InputError: the frames end before the detections do.
    """
    return joined([_of_footage(footage, until, rule or TrackletRule(), advance) for footage in footages])


def _of_footage(footage: TrackInput, until: float, rule: TrackletRule, advance: Callable[[], None]) -> PatchTable:
    rows, source = footage.detections, footage.source
    if rows is None or source is None:
        raise ValueError(f"{footage.name}: no detections or no frames")
    rows = rows.select(rows.frames <= last_frame(footage) * until)
    chosen, patch, start = _chosen(rows, footage.frame_rate, rule)
    cuts = np.zeros((len(chosen), CUT_HEIGHT, CUT_WIDTH, 3), np.uint8)
    frames, boxes = rows.frames[chosen], rows.boxes[chosen]
    seen = 0
    for number, image in wanted_frames(source, np.unique(frames)) if len(chosen) else ():
        for at in np.flatnonzero(frames == number):
            cuts[at] = cut_out(image, boxes[at])
            seen += 1
        advance()
    if seen < len(chosen):
        raise InputError(f"{footage.name}: of {len(chosen)} boxes only {seen} have a frame: the frames end early")
    # Position and motion of the boxes are not used when learning from the cut-outs.
    return PatchTable(patch, start, frames, np.zeros((len(chosen), 4)), np.zeros(len(chosen)), cuts)


def _chosen(
    rows: MotRows, frame_rate: float, rule: TrackletRule
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of the boxes that are kept, sorted by tracklet and time; their tracklet, and when it was seen."""
    if not len(rows):
        return np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.int64)
    tracklets = link_tracklets(rows.frames, rows.boxes, frame_rate, LinkRule())
    order = np.argsort(tracklets, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(tracklets[order])) + 1)
    inside: NDArray[np.bool_] = np.asarray((rows.boxes[:, 2:] - rows.boxes[:, :2] > 2).all(axis=1))
    long = [part for part in (member[inside[member]] for member in members) if len(part) >= rule.min_boxes]
    if len(long) > rule.most:
        long = [long[at] for at in np.linspace(0, len(long) - 1, rule.most).round().astype(int)]
    kept = [part[np.unique(np.linspace(0, len(part) - 1, rule.boxes).round().astype(int))] for part in long]
    if not kept:
        return np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.int64)
    counts = [len(part) for part in kept]
    spans = [int(rows.frames[part].mean() / frame_rate / _TOGETHER_SECONDS) for part in kept]
    numbered = np.unique(spans, return_inverse=True)[1]
    return np.concatenate(kept), np.repeat(np.arange(len(kept)), counts), np.repeat(numbered, counts).astype(np.int64)
