"""Link detections into short tracks of one person each, without labels and without appearance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.protocols import box_iou

_VELOCITY_FRAMES = 10  # the last boxes of a tracklet, from which its velocity is estimated


@dataclass(frozen=True)
class LinkRule:
    """Rule for linking two boxes of consecutive frames as one person.

    Attributes:
        min_iou: each must be the other's best match with at least this overlap.
        max_rival: no other box may overlap either of them by more than this.
        rejoin_seconds: a tracklet that ends is continued by one that begins at most this much later where the box
            predicted at constant velocity matches in the same mutual way; 0 switches it off.
        rejoin_iou: the overlap that this match needs.
    """

    min_iou: float = 0.6
    max_rival: float = 0.3
    rejoin_seconds: float = 0.5
    rejoin_iou: float = 0.5


def unrivalled_links(
    first_A4: NDArray[np.float64], second_B4: NDArray[np.float64], min_iou: float = 0.6, max_rival: float = 0.3
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows of `first_A4` and of `second_B4` (x1 y1 x2 y2, pixels) that match mutually and without a rival.

    A pair matches where each box is the other's best by IoU, the IoU is at least `min_iou`, and no other pair of either
    box has an IoU above `max_rival`.
    """
    if not len(first_A4) or not len(second_B4):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    iou_AB = box_iou(first_A4, second_B4)
    above_A = (iou_AB > max_rival).sum(axis=1)
    above_B = (iou_AB > max_rival).sum(axis=0)
    matches_AB = (iou_AB >= min_iou) & (above_A == 1)[:, None] & (above_B == 1)
    first, second = matches_AB.nonzero()
    return first, second


def link_tracklets(
    frames: NDArray[np.int64], boxes_N4: NDArray[np.float64], frame_rate: float, rule: LinkRule | None = None
) -> NDArray[np.int64]:
    """Return the tracklet (n,) of every detection, counted from 0.

    A detection that nothing matches is a tracklet of its own. Links join frame f and f + 1; up to `rule.rejoin_seconds`
    tracklets are joined over longer gaps by their predicted boxes.

    Args:
        frames: (n,) frame numbers, ascending.
        boxes_N4: (n, 4) x1 y1 x2 y2 in pixels.
        frame_rate: frames per second.

    Raises:
        InputError: frames that are not in order, or a frame rate that is not positive.
    """
    rule = rule or LinkRule()
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"frame rate {frame_rate}: expected a positive number of frames per second")
    if (np.diff(frames) < 0).any():
        raise InputError("detections are not sorted by frame; sort them before they are linked")
    parent = np.arange(len(frames))
    numbers, starts = np.unique(frames, return_index=True)
    ends = np.append(starts[1:], len(frames))
    for index in range(len(numbers) - 1):
        if numbers[index + 1] != numbers[index] + 1:
            continue
        before, after = slice(starts[index], ends[index]), slice(starts[index + 1], ends[index + 1])
        first, second = unrivalled_links(boxes_N4[before], boxes_N4[after], rule.min_iou, rule.max_rival)
        # Rows come in the order of frames, so that a parent is final before its children are seen.
        parent[starts[index + 1] + second] = parent[starts[index] + first]
    tracklets = _numbered(parent)
    longest, limit = math.floor(rule.rejoin_seconds * frame_rate + 1e-6), 1
    # Short gaps first: a wide window has more rivals, and a rival forbids the link.
    while limit < longest:
        limit = min(2 * limit, longest)
        tracklets = _rejoined(frames, boxes_N4, tracklets, limit, rule)
    return tracklets


def _numbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _rejoined(
    frames: NDArray[np.int64],
    boxes_N4: NDArray[np.float64],
    tracklets: NDArray[np.int64],
    limit: int,
    rule: LinkRule,
) -> NDArray[np.int64]:
    """Join tracklets that end and begin at most `limit` frames apart, by the box predicted at constant velocity."""
    order = np.argsort(tracklets, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(tracklets[order])) + 1)
    # A velocity needs two boxes; a single box that comes and goes is often a false detection.
    long = [rows for rows in rows_of if len(rows) >= 2]
    if len(long) < 2:
        return tracklets
    last = np.array([frames[rows[-1]] for rows in long])
    first = np.array([frames[rows[0]] for rows in long])
    velocity = np.stack([_velocity(frames[rows], boxes_N4[rows]) for rows in long])
    end_boxes = np.stack([boxes_N4[rows[-1]] for rows in long])
    start_boxes = np.stack([boxes_N4[rows[0]] for rows in long])
    gap_TT = first[None, :] - last[:, None]
    close_TT = (gap_TT >= 1) & (gap_TT <= limit)
    iou_TT = np.zeros(gap_TT.shape)
    for tracklet, other in zip(*close_TT.nonzero(), strict=True):
        predicted = end_boxes[tracklet] + np.tile(velocity[tracklet], 2) * gap_TT[tracklet, other]
        iou_TT[tracklet, other] = box_iou(predicted[None], start_boxes[other][None])[0, 0]
    rivals = iou_TT > rule.max_rival
    joined = (iou_TT >= rule.rejoin_iou) & (rivals.sum(axis=1) == 1)[:, None] & (rivals.sum(axis=0) == 1)
    result = tracklets.copy()
    # In the order of the second tracklet's beginning, a chain takes the label of its first part.
    for tracklet, other in sorted(zip(*joined.nonzero(), strict=True), key=lambda pair: first[pair[1]]):
        result[long[other]] = result[long[tracklet][-1]]
    return _numbered(result)


def _velocity(frames: NDArray[np.int64], boxes_N4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the motion (2,) of the box's centre, pixels per frame, over the last boxes of a tracklet."""
    frames, boxes_N4 = frames[-_VELOCITY_FRAMES:], boxes_N4[-_VELOCITY_FRAMES:]
    centres = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    moved: NDArray[np.float64] = (centres[-1] - centres[0]) / (frames[-1] - frames[0])
    return moved
