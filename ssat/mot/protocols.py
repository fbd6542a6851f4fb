"""The two evaluation protocols: the pairs that are scored in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssat.mot.rows import IGNORE_REGION, PEDESTRIAN, MotRows

Protocol = Literal["centertrack-half", "motchallenge"]
Rules = Literal["mot", "mot20", "kitti"]

IOU_THRESHOLD = 0.5
# Person on vehicle, static person, distractor, reflection: matches to them are neither true nor false positives.
# Source: the MOTChallenge evaluation (TrackEval, mot_challenge_2d_box).
_DISTRACTOR_CLASSES = (2, 7, 8, 12)
_NON_MOTORISED_VEHICLE = 6  # one more on MOT20
_KITTI_MIN_HEIGHT = 25.0  # pixels; source: the KITTI evaluation (TrackEval, kitti_2d_box)
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ScoredFrame:
    """Boxes of one frame that a protocol scores.

    Attributes:
        truth_ids: (G,) identities that ought to be found.
        result_ids: (R,) identities that are judged.
        iou: (G, R) their overlap.
    """

    frame: int
    truth_ids: NDArray[np.int64]
    result_ids: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class ScoredSequence:
    """Scored boxes of a sequence: the frames, with identities numbered from 0 without gaps."""

    frames: list[ScoredFrame]
    n_truth_ids: int
    n_result_ids: int

    @classmethod
    def of(cls, frames: list[ScoredFrame]) -> ScoredSequence:
        """Return the frames with identities numbered in their order."""
        truth_frames, n_truth_ids = _numbered([frame.truth_ids for frame in frames])
        result_frames, n_result_ids = _numbered([frame.result_ids for frame in frames])
        numbered = [
            ScoredFrame(frame.frame, truth_ids, result_ids, frame.iou)
            for frame, truth_ids, result_ids in zip(frames, truth_frames, result_frames, strict=True)
        ]
        return cls(numbered, n_truth_ids, n_result_ids)

    @cached_property
    def truth_lengths(self) -> NDArray[np.int64]:
        """(n_truth_ids,) labelled boxes of each identity."""
        return _counts([frame.truth_ids for frame in self.frames], self.n_truth_ids)

    @cached_property
    def result_lengths(self) -> NDArray[np.int64]:
        """(n_result_ids,) boxes of each track."""
        return _counts([frame.result_ids for frame in self.frames], self.n_result_ids)

    @property
    def n_truth(self) -> int:
        """Labelled boxes."""
        return int(self.truth_lengths.sum())

    @property
    def n_results(self) -> int:
        """Boxes of the results."""
        return int(self.result_lengths.sum())


def scored_frames(
    truth: MotRows, results: MotRows, frames: range, protocol: Protocol, *, rules: Rules = "mot"
) -> Iterator[ScoredFrame]:
    """Frame after frame, the boxes that count.

    `centertrack-half`: every labelled box with flag ≥ 1, whatever its class; every result.
    `motchallenge`: all boxes are matched first, labels of every class to all results, by the largest sum of IoU ≥ 0.5;
    results on a distractor are removed; then pedestrians with a flag other than 0 count. Labels without classes
    (MOT15) have no distractors.

    Args:
        truth: the labels.
        results: a tracker's boxes.
        frames: those that count.
        protocol: which boxes count.
        rules: what the data set adds to `motchallenge`. `mot20`: results on a non-motorised vehicle are removed too.
            `kitti`: so are results without a match that are at most 25 pixels high or lie by more than half in a
            region that is not labelled (`IGNORE_REGION`).
    """
    official = protocol == "motchallenge"
    distractors = (*_DISTRACTOR_CLASSES, _NON_MOTORISED_VEHICLE) if rules == "mot20" else _DISTRACTOR_CLASSES
    regions = truth.select(truth.classes == IGNORE_REGION) if official and rules == "kitti" else None
    if regions is not None:
        truth = truth.select(truth.classes != IGNORE_REGION)
    counts = labels_that_count(truth, protocol)
    distracts = np.isin(truth.classes, distractors)
    edges = np.arange(frames.start, frames.stop + 1)
    truth_edges, result_edges = np.searchsorted(truth.frames, edges), np.searchsorted(results.frames, edges)
    for index, frame in enumerate(frames):
        at_truth = slice(truth_edges[index], truth_edges[index + 1])
        at_results = slice(result_edges[index], result_edges[index + 1])
        result_ids = results.ids[at_results]
        iou_GR = box_iou(truth.boxes[at_truth], results.boxes[at_results])
        if regions is not None:
            region_boxes = regions.boxes[regions.at(frame)]
            keep = _kept_by_kitti(iou_GR, distracts[at_truth], results.boxes[at_results], region_boxes)
            result_ids, iou_GR = result_ids[keep], iou_GR[:, keep]
        elif official and truth.has_classes and distracts[at_truth].any():
            keep = ~_on_distractors(iou_GR, distracts[at_truth])[0]
            result_ids, iou_GR = result_ids[keep], iou_GR[:, keep]
        yield ScoredFrame(frame, truth.ids[at_truth][counts[at_truth]], result_ids, iou_GR[counts[at_truth]])


def labels_that_count(truth: MotRows, protocol: Protocol) -> NDArray[np.bool_]:
    """(n,) which labels ought to be found, by flag and class; see `scored_frames`."""
    counts: NDArray[np.bool_] = truth.scores >= 1
    if protocol == "motchallenge":
        # The flag is a whole number in the official evaluation, which cuts fractions off.
        counts = (np.trunc(truth.scores) != 0) & (truth.classes == PEDESTRIAN)
    return counts


def box_iou(first_G4: NDArray[np.float64], second_R4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes x1 y1 x2 y2: (G, R)."""
    both_GR = _intersection(first_G4, second_R4)
    area_G = (first_G4[:, 2] - first_G4[:, 0]) * (first_G4[:, 3] - first_G4[:, 1])
    area_R = (second_R4[:, 2] - second_R4[:, 0]) * (second_R4[:, 3] - second_R4[:, 1])
    either_GR = area_G[:, None] + area_R - both_GR
    iou_GR: NDArray[np.float64] = np.divide(both_GR, either_GR, out=np.zeros_like(both_GR), where=either_GR > 0)
    return iou_GR


def _intersection(first_G4: NDArray[np.float64], second_R4: NDArray[np.float64]) -> NDArray[np.float64]:
    low_GR2 = np.maximum(first_G4[:, None, :2], second_R4[:, :2])
    size_GR2 = np.minimum(first_G4[:, None, 2:], second_R4[:, 2:])
    size_GR2 -= low_GR2
    np.maximum(size_GR2, 0.0, out=size_GR2)
    both_GR: NDArray[np.float64] = size_GR2[..., 0] * size_GR2[..., 1]
    return both_GR


def _on_distractors(
    iou_GR: NDArray[np.float64], distractor_G: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(R,) which results are matched to a distractor, when all labels compete for them, and which to any label."""
    # Imported late: the settings of the command line must load without scipy.
    from scipy.optimize import linear_sum_assignment

    on_distractor_R, matched_R = np.zeros(iou_GR.shape[1], bool), np.zeros(iou_GR.shape[1], bool)
    if iou_GR.size:
        overlap_GR = np.where(iou_GR < IOU_THRESHOLD - EPSILON, 0.0, iou_GR)
        rows, columns = linear_sum_assignment(overlap_GR, maximize=True)
        hit = overlap_GR[rows, columns] > EPSILON
        matched_R[columns[hit]] = True
        on_distractor_R[columns[hit & distractor_G[rows]]] = True
    return on_distractor_R, matched_R


def _kept_by_kitti(
    iou_GR: NDArray[np.float64],
    distractor_G: NDArray[np.bool_],
    boxes_R4: NDArray[np.float64],
    regions_N4: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(R,) which results KITTI judges."""
    on_distractor_R, matched_R = _on_distractors(iou_GR, distractor_G)
    size_R2 = boxes_R4[:, 2:] - boxes_R4[:, :2]
    share_RN = _intersection(boxes_R4, regions_N4) / np.maximum(size_R2.prod(axis=1), EPSILON)[:, None]
    dropped_R = (size_R2[:, 1] <= _KITTI_MIN_HEIGHT + EPSILON) | (share_RN > 0.5 + EPSILON).any(axis=1)
    kept_R: NDArray[np.bool_] = ~on_distractor_R & (matched_R | ~dropped_R)
    return kept_R


def _numbered(ids: list[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], int]:
    if not ids:
        return [], 0
    unique, numbers = np.unique(np.concatenate(ids), return_inverse=True)
    ends = np.cumsum([len(frame_ids) for frame_ids in ids])
    return np.split(numbers, ends[:-1]), len(unique)


def _counts(ids: list[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.bincount(np.concatenate(ids), minlength=length) if ids else np.zeros(length, int)
    return counts
