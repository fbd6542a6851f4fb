"""The ceiling of association: the score of the same detections with the true identities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.mot.protocols import IOU_THRESHOLD, Protocol, box_iou, labels_that_count
from ssat.mot.rows import MotRows


def true_identities(detections: MotRows, truth: MotRows, protocol: Protocol = "motchallenge") -> NDArray[np.int64]:
    """Return the labelled identity (n,) of every detection; 0 if no label matches.

    In each frame the labels that count by `protocol` and the detections are matched one to one, by the largest sum of
    IoU over pairs with an IoU of 0.5 or more.
    """
    from scipy.optimize import linear_sum_assignment

    identities = np.zeros(len(detections), np.int64)
    people = truth.select(labels_that_count(truth, protocol))
    for frame in np.unique(detections.frames).tolist():
        at, labelled = detections.at(frame), people.at(frame)
        iou_GD = box_iou(people.boxes[labelled], detections.boxes[at])
        iou_GD[iou_GD < IOU_THRESHOLD - np.finfo(np.float64).eps] = 0
        rows, columns = linear_sum_assignment(-iou_GD)
        matched = iou_GD[rows, columns] > 0
        identities[at.start + columns[matched]] = people.ids[labelled][rows[matched]]
    return identities


def oracle_results(detections: MotRows, truth: MotRows, protocol: Protocol = "motchallenge") -> MotRows:
    """Return the detections as a perfect association would show them.

    Those that match a label have its identity, each of the others one of its own: the tracker is judged, not the
    detector, so that false detections stay.
    """
    identities = true_identities(detections, truth, protocol)
    unknown = identities == 0
    first = int(max(truth.ids.max(initial=0), 0)) + 1
    identities[unknown] = np.arange(first, first + int(unknown.sum()))
    return MotRows(detections.frames, identities, detections.boxes, detections.scores, np.ones_like(identities))


def closed_share(idf1: float, box_alone: float, ceiling: float) -> float:
    """Return the share of the gap between the box term alone and the ceiling that an IDF1 closes; NaN without a gap.

    1 is the ceiling, 0 is what the box term reaches alone, and a tracker below that has a negative share.
    """
    gap = ceiling - box_alone
    return (idf1 - box_alone) / gap if gap > 1e-9 else float("nan")


@dataclass(frozen=True)
class Ceiling:
    """The two ends of the gap, as shares of 1.

    Attributes:
        mota, idf1, hota: with oracle identities on the detections (`oracle_results`).
        box_idf1: of the tracker that uses boxes alone (`ssat.pipeline.ceiling.BOX_ALONE`).
    """

    mota: float
    idf1: float
    hota: float
    box_idf1: float

    def closed(self, idf1: float) -> float | None:
        """Return the share of the gap in IDF1 that a tracker closes; None without a gap."""
        share = closed_share(idf1, self.box_idf1, self.idf1)
        return None if math.isnan(share) else share

    def to_dict(self, idf1: float) -> dict[str, float | None]:
        """Return the keys that stand beside a tracker's scores, whose IDF1 is `idf1`."""
        return {
            "ceiling_mota": self.mota,
            "ceiling_idf1": self.idf1,
            "ceiling_hota": self.hota,
            "box_idf1": self.box_idf1,
            "closed_share": self.closed(idf1),
        }
