"""Follow upright boxes through a clip by optical flow: no labels, no network.

Points on a grid in the box move with pyramidal Lucas-Kanade flow, there and back; those that do not return are left
out, the box moves by the median of the rest and scales by the median change of their distances. A box whose points
disagree, or that leaves the picture, ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ssat.patches.settings import FollowSettings

Box = NDArray[np.float64]  # x1 y1 x2 y2, pixels
Points = NDArray[np.float32]  # (n, 2) x y, pixels

_SIDE = 6  # points along each side of the grid in a box
_RETURN = 1.5  # pixels that a point may be off after the way there and back
_MIN_POINTS = _SIDE * _SIDE // 2
_MAX_DISAGREEMENT = 0.1  # median distance of the points from the common motion, in widths of the box
_MIN_VISIBLE = 0.6  # share of the box inside the picture
_MIN_SIDE = 12.0  # pixels
_TRIED = 300  # boxes per start
MOVING = 0.7  # pixels that a box must differ from the motion of the background within `_APART` frames
_APART = 4
_MAX_OVERLAP = 0.25  # IoU of two patches that start together
_MIN_CONTRAST = 12.0  # standard deviation of the grey values in a box
_FLOW = {"winSize": (15, 15), "maxLevel": 3, "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03)}


@dataclass(frozen=True)
class FollowedPatch:
    """One patch.

    Attributes:
        first: index of the frame in which it starts.
        boxes: (n, 4) x1 y1 x2 y2 in pixels, one per frame from `first` on.
        motion: pixels by which it moved against the background within a few frames of its start.
        start: which start of the clip it belongs to: patches of one start are seen together.
    """

    first: int
    boxes: NDArray[np.float64]
    motion: float
    start: int

    @property
    def moving(self) -> bool:
        """Whether it moves against the background."""
        return self.motion >= MOVING


def follow_patches(
    greys: Sequence[NDArray[np.uint8]], frame_rate: float, settings: FollowSettings, seed: int
) -> list[FollowedPatch]:
    """Return the patches of a clip that could be followed for long enough, moving ones first in each start.

    Args:
        greys: the frames (H, W), grey, of one size.
        frame_rate: frames per second.
        seed: of this clip.
    """
    shortest = max(2, round(settings.min_seconds * frame_rate))
    longest = max(shortest, round(settings.max_seconds * frame_rate))
    if len(greys) <= shortest:
        return []
    rng = np.random.default_rng([settings.seed, seed])
    # A long clip is processed twice, so that its second half is used too.
    starts = [0, len(greys) // 2] if len(greys) > longest + shortest and settings.per_clip > 1 else [0]
    share = -(-settings.per_clip // len(starts))
    found: list[FollowedPatch] = []
    for number, start in enumerate(starts):
        field = _residual_motion(greys[start], greys[min(start + _APART, len(greys) - 1)])
        proposed = _proposed(greys[start], field, rng, 2 * share)
        ways = _follow(greys, start, [box for _, box in proposed], longest)
        kept = [
            FollowedPatch(start, np.array(way), motion, number)
            for (motion, _), way in zip(proposed, ways, strict=True)
            if len(way) >= shortest
        ]
        kept.sort(key=lambda patch: not patch.moving)
        found += kept[:share]
    return found[: settings.per_clip]


def _follow(greys: Sequence[NDArray[np.uint8]], start: int, boxes: Sequence[Box], longest: int) -> list[list[Box]]:
    height, width = greys[start].shape
    ways = [[box] for box in boxes]
    alive = list(range(len(boxes)))
    for at in range(start, min(start + longest, len(greys)) - 1):
        if not alive:
            break
        grids = [_grid(ways[patch][-1]) for patch in alive]
        moved, returned = _flow(greys[at], greys[at + 1], np.concatenate(grids))
        still = []
        for index, patch in enumerate(alive):
            part = slice(index * _SIDE * _SIDE, (index + 1) * _SIDE * _SIDE)
            inside = ((grids[index] >= 0) & (grids[index] < (width, height))).all(axis=1)
            used = returned[part] & inside
            box = _moved(ways[patch][-1], grids[index][used], moved[part][used])
            if box is not None and _is_visible(box, width, height):
                ways[patch].append(box)
                still.append(patch)
        alive = still
    return ways


def _moved(box: Box, before: Points, after: Points) -> Box | None:
    """Return the box moved and scaled as its points are; None if they are too few or disagree."""
    if len(before) < _MIN_POINTS:
        return None
    step = np.median(after - before, axis=0)
    if np.median(np.linalg.norm(after - before - step, axis=1)) > _MAX_DISAGREEMENT * (box[2] - box[0]):
        return None
    upper = np.triu_indices(len(before), 1)
    apart = (np.linalg.norm(points[:, None] - points[None], axis=2)[upper] for points in (before, after))
    distance_before, distance_after = apart
    scale = np.clip(np.median(distance_after / np.maximum(distance_before, 1e-3)), 0.9, 1.1)
    centre = (box[:2] + box[2:]) / 2 + step
    half = (box[2:] - box[:2]) / 2 * scale
    return np.concatenate((centre - half, centre + half))


def _is_visible(box: Box, width: int, height: int) -> bool:
    sides = box[2:] - box[:2]
    inside = np.clip(box, 0, (width, height, width, height))
    seen = np.maximum(inside[2:] - inside[:2], 0)
    return bool(seen.prod() >= _MIN_VISIBLE * sides.prod() and sides.min() >= _MIN_SIDE)


def _proposed(
    grey: NDArray[np.uint8], field: tuple[Points, NDArray[np.float64]] | None, rng: np.random.Generator, most: int
) -> list[tuple[float, Box]]:
    """Random boxes of the shape of people that are not flat: first those that move, then any; none overlap much."""
    height, width = grey.shape
    tried = []
    for _ in range(_TRIED):
        tall = min(height, width) * rng.uniform(0.25, 0.95)
        wide = tall * rng.uniform(0.33, 0.6)
        if wide > width - 2 or tall > height - 2:
            continue
        x, y = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
        if grey[int(y) : int(y + tall), int(x) : int(x + wide)].std() >= _MIN_CONTRAST:
            box = np.array([x, y, x + wide, y + tall])
            tried.append((_motion_in(field, box), box))
    chosen: list[tuple[float, Box]] = []
    moving = sorted((candidate for candidate in tried if candidate[0] >= MOVING), key=lambda candidate: -candidate[0])
    for candidates, limit in ((moving, most // 2), (tried, most)):
        for motion, box in candidates:
            if len(chosen) >= limit:
                break
            if all(_overlap(box, other) < _MAX_OVERLAP for _, other in chosen):
                chosen.append((motion, box))
    return chosen


def _residual_motion(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Points, NDArray[np.float64]] | None:
    """Return points of a frame and the motion of each relative to the image (a similarity); None if unclear."""
    height, width = before.shape
    x, y = np.meshgrid(np.arange(6, width - 6, 10), np.arange(6, height - 6, 10))
    points = np.stack((x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    if len(points) < 20:
        return None
    moved, returned = _flow(before, after, points)
    points, moved = points[returned], moved[returned]
    if len(points) < 20:
        return None
    estimated: Any = cv2.estimateAffinePartial2D(points, moved, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    similarity = estimated[0]  # None if there is none, which OpenCV's types do not say
    if similarity is None:
        return None
    rest = np.linalg.norm(moved - (points @ similarity[:, :2].T + similarity[:, 2]), axis=1)
    return points, np.minimum(rest, 8.0)


def _motion_in(field: tuple[Points, NDArray[np.float64]] | None, box: Box) -> float:
    """Return mean residual motion in the ellipse of a box."""
    if field is None:
        return 0.0
    points, rest = field
    off = (points - (box[:2] + box[2:]) / 2) / ((box[2:] - box[:2]) / 2)
    inside = (off**2).sum(axis=1) < 0.6
    return float(rest[inside].mean()) if inside.sum() >= 3 else 0.0


def _flow(before: NDArray[np.uint8], after: NDArray[np.uint8], points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Return where the points are in the next frame, and which of them come back to where they were."""
    given = points[:, None]
    moved, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, given, None, **_FLOW)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, None, **_FLOW)  # type: ignore[call-overload]
    off = np.abs(back - given).reshape(-1, 2).max(axis=1)
    return moved[:, 0], (seen.ravel() == 1) & (again.ravel() == 1) & (off < _RETURN)


def _grid(box: Box) -> Points:
    share = 0.1 + 0.8 * (np.arange(_SIDE) + 0.5) / _SIDE
    x, y = box[0] + (box[2] - box[0]) * share, box[1] + (box[3] - box[1]) * share
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)


def _overlap(a: Box, b: Box) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    common = sides.prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))
