"""Retrieval scores of features: does a frame find another one of its clip?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RetrievalScores:
    """Means over queries; all are 0 if no query has a match."""

    recall_at_1: float
    """Share of queries whose nearest frame is of the same clip."""
    mean_average_precision: float
    """Average precision of the ranked gallery."""
    verification_auc: float
    """Chance that a same-clip pair has a higher cosine than a different-clip pair of the query."""


def retrieval_scores(
    features_BD: NDArray[np.float32],
    clip_B: NDArray[np.int64],
    time_us_B: NDArray[np.int64],
    *,
    gap_us: int = 1_000_000,
) -> RetrievalScores:
    """Score every frame as a query against all others, labels being clips.

    Frames of the query's own clip that lie less than `gap_us` away are taken out of its gallery: neighbours are
    near-duplicates and would make every network look perfect.

    Args:
        features_BD: L2-normalised features.
        clip_B: clip of each frame.
        time_us_B: time of each frame in its clip, microseconds.
        gap_us: least distance in time between a query and a frame of the same clip, microseconds.

    Queries without any positive in the gallery are left out.
    """
    cosine_BB = features_BD @ features_BD.T
    same_BB = clip_B[:, None] == clip_B[None, :]
    near_BB = same_BB & (np.abs(time_us_B[:, None] - time_us_B[None, :]) < gap_us)
    recalls, precisions, aucs = [], [], []
    for query in range(len(clip_B)):
        gallery = ~near_BB[query]
        positive = same_BB[query][gallery]
        if not positive.any() or positive.all():
            continue
        ranked = positive[np.argsort(-cosine_BB[query][gallery], kind="stable")]
        hits = np.flatnonzero(ranked)
        recalls.append(float(ranked[0]))
        precisions.append(float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))))
        negatives_above = hits - np.arange(len(hits))
        aucs.append(1 - float(negatives_above.mean()) / (len(ranked) - len(hits)))
    if not recalls:
        return RetrievalScores(0.0, 0.0, 0.0)
    return RetrievalScores(float(np.mean(recalls)), float(np.mean(precisions)), float(np.mean(aucs)))
