"""What counts as right: the two evaluation protocols, down to the pairs that are scored in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssat.mot.rows import PEDESTRIAN, MotRows

Protocol = Literal["centertrack-half", "motchallenge"]

IOU_THRESHOLD = 0.5
# Person on vehicle, static person, distractor, reflection: whoever tracks them is neither praised nor blamed.
# Source: the MOTChallenge evaluation (TrackEval, mot_challenge_2d_box).
_DISTRACTOR_CLASSES = (2, 7, 8, 12)
_NON_MOTORISED_VEHICLE = 6  # one more on MOT20
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ScoredFrame:
    """What a protocol lets through in one frame.

    Attributes:
        truth_ids: (G,) identities that ought to be found.
        result_ids: (R,) identities that are judged.
        iou: (G, R) their overlap.
    """

    frame: int
    truth_ids: NDArray[np.int64]
    result_ids: NDArray[np.int64]
    iou: NDArray[np.float64]


def scored_frames(
    truth: MotRows, results: MotRows, frames: range, protocol: Protocol, *, mot20: bool = False
) -> Iterator[ScoredFrame]:
    """Frame after frame, the boxes that count.

    `centertrack-half`: every labelled box with flag ≥ 1, whatever its class; every result.
    `motchallenge`: all boxes are matched first, labels of every class to all results, by the largest sum of IoU ≥ 0.5;
    results on a distractor are removed; then pedestrians with a flag other than 0 count. Labels without classes
    (MOT15) have no distractors.
    """
    distractors = (*_DISTRACTOR_CLASSES, _NON_MOTORISED_VEHICLE) if mot20 else _DISTRACTOR_CLASSES
    for frame in frames:
        at_truth, at_results = truth.at(frame), results.at(frame)
        truth_ids, result_ids = truth.ids[at_truth], results.ids[at_results]
        flags, classes = truth.scores[at_truth], truth.classes[at_truth]
        iou_GR = box_iou(truth.boxes[at_truth], results.boxes[at_results])
        if protocol == "centertrack-half":
            counts = flags >= 1
        else:
            counts = (flags != 0) & (classes == PEDESTRIAN)
            if truth.has_classes:
                keep = ~_on_distractors(iou_GR, np.isin(classes, distractors))
                result_ids, iou_GR = result_ids[keep], iou_GR[:, keep]
        yield ScoredFrame(frame, truth_ids[counts], result_ids, iou_GR[counts])


def box_iou(first_G4: NDArray[np.float64], second_R4: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes x1 y1 x2 y2: (G, R)."""
    low_GR2 = np.maximum(first_G4[:, None, :2], second_R4[:, :2])
    high_GR2 = np.minimum(first_G4[:, None, 2:], second_R4[:, 2:])
    both_GR = np.clip(high_GR2 - low_GR2, 0.0, None).prod(axis=2)
    area_G = (first_G4[:, 2:] - first_G4[:, :2]).prod(axis=1)
    area_R = (second_R4[:, 2:] - second_R4[:, :2]).prod(axis=1)
    either_GR = area_G[:, None] + area_R - both_GR
    iou_GR: NDArray[np.float64] = np.divide(both_GR, either_GR, out=np.zeros_like(both_GR), where=either_GR > 0)
    return iou_GR


def _on_distractors(iou_GR: NDArray[np.float64], distractor_G: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(R,) which results are matched to a distractor, when labels of all classes compete for them."""
    matched_R = np.zeros(iou_GR.shape[1], bool)
    if not iou_GR.size or not distractor_G.any():
        return matched_R
    from scipy.optimize import linear_sum_assignment

    overlap_GR = np.where(iou_GR < IOU_THRESHOLD - _EPSILON, 0.0, iou_GR)
    rows, columns = linear_sum_assignment(overlap_GR, maximize=True)
    hit = (overlap_GR[rows, columns] > _EPSILON) & distractor_G[rows]
    matched_R[columns[hit]] = True
    return matched_R
