"""Identity scores: share of boxes whose predicted identity matches the true one over the whole sequence.

Source: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ssat.mot.protocols import IOU_THRESHOLD, ScoredSequence


@dataclass(frozen=True)
class Identity:
    """Boxes under the right identity, results that are not, labels that are not; several sequences are added."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @classmethod
    def of(cls, sequence: ScoredSequence) -> Identity:
        """Assign at most one track to every identity so that the number of boxes with IoU ≥ 0.5 is largest."""
        together = np.zeros((sequence.n_truth_ids, sequence.n_result_ids), int)
        for frame in sequence.frames:
            rows, columns = np.nonzero(frame.iou >= IOU_THRESHOLD)
            together[frame.truth_ids[rows], frame.result_ids[columns]] += 1
        # Minimising FP + FN maximises IDTP: each correct box reduces both by one.
        tp = int(together[linear_sum_assignment(together, maximize=True)].sum())
        return cls(tp, sequence.n_results - tp, sequence.n_truth - tp)

    def __add__(self, other: Identity) -> Identity:
        return Identity(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def idp(self) -> float:
        """Share of the results that is right."""
        return self.tp / max(1, self.tp + self.fp)

    @property
    def idr(self) -> float:
        """Share of the labels that is right."""
        return self.tp / max(1, self.tp + self.fn)

    @property
    def idf1(self) -> float:
        """Their harmonic mean."""
        return self.tp / max(1.0, self.tp + 0.5 * self.fp + 0.5 * self.fn)
