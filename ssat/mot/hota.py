"""HOTA: detection and association weighed alike, over all thresholds of overlap.

Source: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ssat.mot.protocols import EPSILON, ScoredSequence

ALPHAS = np.arange(0.05, 0.99, 0.05)  # the 19 thresholds of overlap


@dataclass(frozen=True)
class Hota:
    """Counts at each threshold; those of several sequences are added.

    Attributes:
        tp: (19,) matches.
        ass_sum: (19,) association score, summed over the matches.
        n_truth: labelled boxes.
        n_results: boxes of the results.
    """

    tp: NDArray[np.int64]
    ass_sum: NDArray[np.float64]
    n_truth: int
    n_results: int

    @classmethod
    def of(cls, sequence: ScoredSequence) -> Hota:
        """Match frame by frame by overlap times the agreement of the two identities over the whole sequence."""
        tp, ass_sum = np.zeros(len(ALPHAS), np.int64), np.zeros(len(ALPHAS))
        if sequence.n_truth and sequence.n_results:
            identities, tracks, overlaps = _matches(sequence)
            pairs, number = np.unique(identities * sequence.n_result_ids + tracks, return_inverse=True)
            lengths_P = (
                sequence.truth_lengths[pairs // sequence.n_result_ids]
                + sequence.result_lengths[pairs % sequence.n_result_ids]
            )
            for index, alpha in enumerate(ALPHAS):
                hit = overlaps >= alpha - EPSILON
                together_P = np.bincount(number[hit], minlength=len(pairs))
                tp[index] = hit.sum()
                ass_sum[index] = (together_P * (together_P / (lengths_P - together_P))).sum()
        return cls(tp, ass_sum, sequence.n_truth, sequence.n_results)

    def __add__(self, other: Hota) -> Hota:
        return Hota(
            self.tp + other.tp,
            self.ass_sum + other.ass_sum,
            self.n_truth + other.n_truth,
            self.n_results + other.n_results,
        )

    @property
    def by_alpha(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """HOTA, DetA and AssA at each of the thresholds `ALPHAS`."""
        deta = self.tp / np.maximum(1, self.n_truth + self.n_results - self.tp)
        assa = self.ass_sum / np.maximum(1, self.tp)
        return np.sqrt(deta * assa), deta, assa

    @property
    def hota(self) -> float:
        """√(DetA · AssA), mean over the thresholds."""
        return float(self.by_alpha[0].mean())

    @property
    def deta(self) -> float:
        """Share of matches among all boxes of either side, mean over the thresholds."""
        return float(self.by_alpha[1].mean())

    @property
    def assa(self) -> float:
        """Agreement of the matched identities, mean over the thresholds."""
        return float(self.by_alpha[2].mean())


def _matches(sequence: ScoredSequence) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Identity, track and overlap of every matched pair of boxes."""
    together = np.zeros((sequence.n_truth_ids, sequence.n_result_ids))
    for frame in sequence.frames:
        iou_GR = frame.iou
        either_GR = iou_GR.sum(axis=0) + iou_GR.sum(axis=1)[:, None] - iou_GR
        share_GR = np.divide(iou_GR, either_GR, out=np.zeros_like(iou_GR), where=either_GR > EPSILON)
        together[frame.truth_ids[:, None], frame.result_ids] += share_GR
    alignment = together / (sequence.truth_lengths[:, None] + sequence.result_lengths - together)
    identities, tracks, overlaps = [], [], []
    for frame in sequence.frames:
        if not frame.iou.size:
            continue
        score_GR = alignment[frame.truth_ids[:, None], frame.result_ids] * frame.iou
        rows, columns = linear_sum_assignment(score_GR, maximize=True)
        identities.append(frame.truth_ids[rows])
        tracks.append(frame.result_ids[columns])
        overlaps.append(frame.iou[rows, columns])
    if not overlaps:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(identities), np.concatenate(tracks), np.concatenate(overlaps)
