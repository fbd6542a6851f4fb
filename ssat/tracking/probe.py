"""Measure without labels how well a feature distinguishes people, and derive the scale of the appearance cost.

Boxes that are linked over consecutive frames without a rival are the same person (`ssat.tracking.tracklets`); two
tracklets that have separate boxes in one frame are different people. Pairs of boxes of the first kind are positives,
pairs of the second kind negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.protocols import box_iou
from ssat.tracking.tracklets import LinkRule, link_tracklets

GAPS_SECONDS = (0.1, 1.0, 3.0)
# The finest resolution, measured against labels (docs/tracking-results.md): long gaps, and tracklets that motion
# rejoins over occlusions.
HARD_GAPS_SECONDS = (1.0, 2.0, 3.0)
HARD_REJOIN_SECONDS = 2.0
# The median cost between different people that the calibration maps the feature's own median to: with it tau1 and tau2
# keep the meaning that they have for the paper's feature.
CALIBRATED_MEDIAN = 0.8
SEPARATE_IOU = 0.3  # boxes of one frame that overlap less are certainly different people
MIN_PAIRS = 30  # fewer pairs of a kind say too little for an area under the curve
_MAX_ANCHORS = 250  # frames per gap from which pairs are drawn, evenly spread
_BOOTSTRAPS = 200
_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class PairSet:
    """Pairs of detections at one gap.

    Attributes:
        gap_seconds: time between the two detections of a pair.
        first, second: (p,) rows of the footage's detections.
        same: (p,) the pair is of one tracklet.
        first_tracklet, second_tracklet: (p,) tracklets of the two, for the interval.
    """

    gap_seconds: float
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    same: NDArray[np.bool_]
    first_tracklet: NDArray[np.int64]
    second_tracklet: NDArray[np.int64]


@dataclass(frozen=True)
class GapScore:
    """AUC of a feature over the pairs at one gap.

    Attributes:
        gap_seconds: time between the two detections of a pair.
        positives, negatives: pairs of one tracklet and of two.
        auc: area under the ROC curve of the cosine similarity; NaN with fewer than `MIN_PAIRS` pairs of either kind.
        low, high: 95 % interval, by resampling tracklets.
        same_cost, different_cost: 5 %, 50 % and 95 % quantile of the appearance cost (1 − cosine) of either kind.
    """

    gap_seconds: float
    positives: int
    negatives: int
    auc: float
    low: float
    high: float
    same_cost: tuple[float, float, float]
    different_cost: tuple[float, float, float]


@dataclass(frozen=True)
class Calibration:
    """The factor of the appearance cost that a footage implies.

    Attributes:
        scale: multiply 1 − cosine by this; NaN where no frame has two separate boxes.
        same_frame_median: median of 1 − cosine between different boxes of one frame.
        pairs: how many such pairs were measured.
    """

    scale: float
    same_frame_median: float
    pairs: int


@dataclass(frozen=True)
class ProbeScore:
    """Result of the probe for one feature on one footage."""

    gaps: tuple[GapScore, ...]
    calibration: Calibration

    @property
    def auc(self) -> float:
        """Mean area under the curve over the gaps that had enough pairs; NaN where none had."""
        known = [gap.auc for gap in self.gaps if np.isfinite(gap.auc)]
        return float(np.mean(known)) if known else float("nan")


@dataclass(frozen=True)
class ProbeFootage:
    """The pairs of one footage; made from boxes alone, once, and used for any number of features.

    Attributes:
        tracklets: (n,) tracklet of every detection.
        n_tracklets: tracklets of two boxes or more.
        pairs: the pairs of every gap.
        same_frame: rows (q, 2) of separate boxes of one frame, for the calibration.
        rows: (r,) ascending, the detections whose features are needed.
    """

    tracklets: NDArray[np.int64]
    n_tracklets: int
    pairs: tuple[PairSet, ...]
    same_frame: NDArray[np.intp]
    rows: NDArray[np.intp]

    @classmethod
    def of_boxes(
        cls,
        frames: NDArray[np.int64],
        boxes_N4: NDArray[np.float64],
        frame_rate: float,
        *,
        gaps_seconds: Sequence[float] = GAPS_SECONDS,
        rule: LinkRule | None = None,
        max_anchors: int = _MAX_ANCHORS,
    ) -> ProbeFootage:
        """Link the detections and collect the pairs.

        Args:
            frames: (n,) frame numbers, ascending.
            boxes_N4: (n, 4) x1 y1 x2 y2 in pixels.
            frame_rate: frames per second.
            gaps_seconds: times between the two detections of a pair.
            max_anchors: frames per gap from which pairs are drawn, evenly spread.

        Raises:
            InputError: no frame has two boxes, or no box could be linked to the next frame.
        """
        numbers, counts = np.unique(frames, return_counts=True)
        if not len(numbers) or counts.max() < 2:
            raise InputError(
                f"{len(frames)} detections in {len(numbers)} frames, never two in one: the probe compares people of "
                "the same frame; give footage in which several people are detected"
            )
        tracklets = link_tracklets(frames, boxes_N4, frame_rate, rule)
        lengths = np.bincount(tracklets)
        different = _coexisting(frames, boxes_N4, tracklets)
        if lengths.max() < 2:
            raise InputError(
                f"no detection of {len(numbers)} frames could be linked to the frame after it: the probe needs "
                "detections in consecutive frames that overlap by 0.6 or more, so people and camera must move by less "
                "than a quarter of a box's width from frame to frame; give longer footage, a higher frame rate or a "
                "steadier camera"
            )
        found = tuple(_pairs_at(frames, tracklets, different, gap, frame_rate, max_anchors) for gap in gaps_seconds)
        same_frame = _separate_pairs(frames, boxes_N4, numbers[counts >= 2], max_anchors)
        rows = np.unique(np.concatenate([same_frame.ravel(), *(np.append(p.first, p.second) for p in found)]))
        return cls(tracklets, int((lengths >= 2).sum()), found, same_frame, rows)

    @classmethod
    def of_labels(
        cls,
        frames: NDArray[np.int64],
        boxes_N4: NDArray[np.float64],
        identities: NDArray[np.int64],
        frame_rate: float,
        *,
        gaps_seconds: Sequence[float] = GAPS_SECONDS,
        max_anchors: int = _MAX_ANCHORS,
    ) -> ProbeFootage:
        """Collect the pairs that labels give, to judge the label-free ones by.

        Args:
            identities: (n,) labelled identity of every detection; 0 or less: not known, in no pair.
            frames, boxes_N4, frame_rate, gaps_seconds, max_anchors: as for `of_boxes`.

        Raises:
            InputError: no two people of the same frame are labelled.
        """
        known = identities > 0
        numbers, counts = np.unique(frames[known], return_counts=True)
        if not len(numbers) or counts.max() < 2:
            raise InputError("no two detections of one frame match labels of two people")
        people = np.where(known, np.unique(identities, return_inverse=True)[1], -1).astype(np.int64)
        found = tuple(_pairs_at(frames, people, None, gap, frame_rate, max_anchors) for gap in gaps_seconds)
        same_frame = _separate_pairs(frames, boxes_N4, numbers[counts >= 2], max_anchors)
        same_frame = same_frame[known[same_frame].all(axis=1)]
        rows = np.unique(np.concatenate([same_frame.ravel(), *(np.append(p.first, p.second) for p in found)]))
        lengths = np.bincount(people[known])
        return cls(people, int((lengths >= 2).sum()), found, same_frame, rows)

    def score(self, features_NF: NDArray[np.float32], seed: int = 0) -> ProbeScore:
        """Score a feature.

        Args:
            features_NF: (n, F) a row per detection; only those in `rows` are read, zero rows (no appearance) are left
                out of all pairs.
            seed: of the resampling.

        Raises:
            InputError: another number of rows.
        """
        if features_NF.ndim != 2 or len(features_NF) != len(self.tracklets):
            raise InputError(
                f"features have shape {features_NF.shape}; expected ({len(self.tracklets)}, F), a row per detection"
            )
        norms = np.linalg.norm(features_NF, axis=1, keepdims=True)
        unit = (features_NF / np.where(norms > 0, norms, 1)).astype(np.float32)
        known = norms[:, 0] > 0
        rng = np.random.default_rng(seed)
        gaps = tuple(_gap_score(pairs, unit, known, rng) for pairs in self.pairs)
        first, second = self.same_frame.T if len(self.same_frame) else (np.empty(0, np.intp),) * 2
        usable = known[first] & known[second]
        costs = 1 - np.einsum("pf,pf->p", unit[first[usable]], unit[second[usable]], dtype=np.float64)
        return ProbeScore(gaps, calibrated(costs))


def calibrated(same_frame_costs: NDArray[np.float64]) -> Calibration:
    """Return the factor that maps the median of `same_frame_costs` (different people) to `CALIBRATED_MEDIAN`."""
    median = float(np.median(same_frame_costs)) if len(same_frame_costs) else float("nan")
    scale = CALIBRATED_MEDIAN / median if median > 1e-6 else float("nan")
    return Calibration(scale, median, len(same_frame_costs))


def purity(tracklets: NDArray[np.int64], identities: NDArray[np.int64]) -> float:
    """Return the share of consecutive boxes of a tracklet that have the same identity; NaN where none can be judged.

    Args:
        tracklets: (n,) as `link_tracklets` gives them.
        identities: (n,) from labels; 0 or less: not known.
    """
    order = np.argsort(tracklets, kind="stable")
    linked = np.diff(tracklets[order]) == 0
    before, after = identities[order[:-1]][linked], identities[order[1:]][linked]
    judged = (before > 0) & (after > 0)
    return float((before == after)[judged].mean()) if judged.any() else float("nan")


def weighted_area(levels: NDArray[np.intp], same: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Return the probability that a positive is more similar than a negative, ties counted half.

    Args:
        levels: (p,) rank of each pair's similarity from 0, equal for ties.
        same: (p,) whether the pair is a positive.
        weights: (p,) of the pairs.
    """
    positive = np.bincount(levels[same], weights[same], minlength=levels.max() + 1)
    negative = np.bincount(levels[~same], weights[~same], minlength=levels.max() + 1)
    below = np.cumsum(negative) - negative / 2
    total = positive.sum() * negative.sum()
    return float((positive * below).sum() / total) if total > 0 else float("nan")


def _coexisting(
    frames: NDArray[np.int64], boxes_N4: NDArray[np.float64], tracklets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return pairs of tracklets that have separate boxes in one frame: first * count + second, ascending."""
    count = int(tracklets.max()) + 1
    found = [np.empty(0, np.int64)]
    for rows in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(frames)) + 1):
        first, second = (box_iou(boxes_N4[rows], boxes_N4[rows]) < SEPARATE_IOU).nonzero()
        found.append(tracklets[rows[first]] * count + tracklets[rows[second]])
    return np.unique(np.concatenate(found))


def _pairs_at(
    frames: NDArray[np.int64],
    tracklets: NDArray[np.int64],
    different: NDArray[np.int64] | None,
    gap: float,
    frame_rate: float,
    max_anchors: int,
) -> PairSet:
    step = max(1, round(gap * frame_rate))
    numbers = np.unique(frames)
    anchors = numbers[np.isin(numbers + step, numbers)]
    if len(anchors) > max_anchors:
        anchors = anchors[np.linspace(0, len(anchors) - 1, max_anchors).round().astype(int)]
    firsts, seconds = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for anchor in anchors:
        here = np.arange(*np.searchsorted(frames, (anchor, anchor + 1)))
        there = np.arange(*np.searchsorted(frames, (anchor + step, anchor + step + 1)))
        firsts.append(np.repeat(here, len(there)))
        seconds.append(np.tile(there, len(here)))
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    first_tracklet, other = tracklets[first], tracklets[second]
    same = first_tracklet == other
    if different is None:
        kept = (first_tracklet >= 0) & (other >= 0)
    else:
        # Of two tracklets that never share a frame nothing is known: one person may have left and come back.
        kept = same | np.isin(first_tracklet * (int(tracklets.max()) + 1) + other, different)
    return PairSet(gap, first[kept], second[kept], same[kept], first_tracklet[kept], other[kept])


def _separate_pairs(
    frames: NDArray[np.int64], boxes_N4: NDArray[np.float64], numbers: NDArray[np.int64], max_anchors: int
) -> NDArray[np.intp]:
    if len(numbers) > max_anchors:
        numbers = numbers[np.linspace(0, len(numbers) - 1, max_anchors).round().astype(int)]
    found = [np.empty((0, 2), np.intp)]
    for number in numbers:
        start, stop = np.searchsorted(frames, (number, number + 1))
        iou = box_iou(boxes_N4[start:stop], boxes_N4[start:stop])
        found.append(np.argwhere(np.triu(iou < SEPARATE_IOU, k=1)) + start)
    return np.concatenate(found)


def _gap_score(
    pairs: PairSet, unit_NF: NDArray[np.float32], known: NDArray[np.bool_], rng: np.random.Generator
) -> GapScore:
    usable = known[pairs.first] & known[pairs.second]
    first, second, same = pairs.first[usable], pairs.second[usable], pairs.same[usable]
    cosine = np.einsum("pf,pf->p", unit_NF[first], unit_NF[second], dtype=np.float64)
    positives, negatives = int(same.sum()), int((~same).sum())
    nothing = (float("nan"),) * 3
    auc = low = high = float("nan")
    if min(positives, negatives) >= MIN_PAIRS:
        levels = np.unique(cosine, return_inverse=True)[1]
        auc = weighted_area(levels, same, np.ones(len(same)))
        tracklets = np.concatenate([pairs.first_tracklet[usable], pairs.second_tracklet[usable]])
        names, index = np.unique(tracklets, return_inverse=True)
        first_tracklet, other = np.split(index, 2)
        resampled = []
        for _ in range(_BOOTSTRAPS):
            # A pair counts as often as its tracklets were drawn, a pair of two as often as both.
            drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)).astype(np.float64)
            weights = np.where(same, drawn[first_tracklet], drawn[first_tracklet] * drawn[other])
            resampled.append(weighted_area(levels, same, weights))
        low, high = np.nanquantile(resampled, (0.025, 0.975)).tolist() if np.isfinite(resampled).any() else (low, high)
    cost = 1 - cosine
    return GapScore(
        pairs.gap_seconds,
        positives,
        negatives,
        auc,
        low,
        high,
        _quantiles(cost[same]) if positives else nothing,
        _quantiles(cost[~same]) if negatives else nothing,
    )


def _quantiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, _QUANTILES).tolist()
    return low, middle, high
