"""CLEAR scores as the official evaluation of MOTChallenge counts them.

Source: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008, as
TrackEval implements it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from ssat.mot.protocols import EPSILON, IOU_THRESHOLD, ScoredSequence

_MOSTLY_TRACKED, _MOSTLY_LOST = 0.8, 0.2
_CONTINUES = 1000.0  # outweighs any sum of overlaps


@dataclass(frozen=True)
class Clear:
    """Counts over frames; those of several sequences are added.

    `iou_sum`: overlap of all matches. `mt`, `pt`, `ml`: identities found in more than 80 %, between, and in less than
    20 % of their frames.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    idsw: int = 0
    frag: int = 0
    mt: int = 0
    pt: int = 0
    ml: int = 0
    iou_sum: float = 0.0

    @classmethod
    def of(cls, sequence: ScoredSequence) -> Clear:
        """Match frame by frame: pairs of the previous frame first, then the largest sum of IoU ≥ 0.5.

        A switch is another track than the one this identity had last, however long ago.
        """
        if not sequence.n_results or not sequence.n_truth:
            return cls(fp=sequence.n_results, fn=sequence.n_truth, ml=sequence.n_truth_ids)
        last = np.full(sequence.n_truth_ids, -1)  # track of each identity, when it was found last
        previous = last.copy()  # in the frame before; −1: not found there
        found = np.zeros(sequence.n_truth_ids, int)
        begun = np.zeros(sequence.n_truth_ids, int)
        idsw, iou_sum = 0, 0.0
        for frame in sequence.frames:
            truth_ids, result_ids, iou_GR = frame.truth_ids, frame.result_ids, frame.iou
            # The official evaluation ignores frames in which either side is empty.
            if not iou_GR.size:
                continue
            score_GR = iou_GR + _CONTINUES * (previous[truth_ids][:, None] == result_ids)
            score_GR[iou_GR < IOU_THRESHOLD - EPSILON] = 0.0
            rows, columns = linear_sum_assignment(score_GR, maximize=True)
            hit = score_GR[rows, columns] > EPSILON
            rows, columns = rows[hit], columns[hit]
            identities, tracks = truth_ids[rows], result_ids[columns]
            before = last[identities]
            idsw += int(((before >= 0) & (before != tracks)).sum())
            begun[identities] += previous[identities] < 0
            found[identities] += 1
            last[identities] = tracks
            previous.fill(-1)
            previous[identities] = tracks
            iou_sum += float(iou_GR[rows, columns].sum())
        tp = int(found.sum())
        share = found / sequence.truth_lengths
        mt = int((share > _MOSTLY_TRACKED).sum())
        pt = int((share >= _MOSTLY_LOST).sum()) - mt
        return cls(
            tp=tp,
            fp=sequence.n_results - tp,
            fn=sequence.n_truth - tp,
            idsw=idsw,
            frag=int((begun[begun > 0] - 1).sum()),
            mt=mt,
            pt=pt,
            ml=sequence.n_truth_ids - mt - pt,
            iou_sum=iou_sum,
        )

    def __add__(self, other: Clear) -> Clear:
        return Clear(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def mota(self) -> float:
        """1 − (misses + false alarms + switches) / labelled boxes; 0 if there are none."""
        return (self.tp - self.fp - self.idsw) / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def motp(self) -> float:
        """Mean overlap of the matches."""
        return self.iou_sum / max(1, self.tp)
