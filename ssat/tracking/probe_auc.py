"""One number for a feature: the mean area under the curve over gaps and footage, with an interval that pairs up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.probe import MIN_PAIRS, PairSet, ProbeFootage, weighted_area

_RESAMPLES = 200
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class ProbeAuc:
    """Mean AUC of one feature.

    Attributes:
        auc: mean over all gaps of all footage that have enough pairs.
        low, high: 95 % interval, by resampling tracklets.
        resampled: (R,) the mean AUC of every resampling. Two features of the same footage are resampled alike, so the
            differences of their entries give the interval of their difference.
    """

    auc: float
    low: float
    high: float
    resampled: NDArray[np.float64]

    def named(self) -> dict[str, float]:
        """Return `probe_auc`, `probe_auc_low` and `probe_auc_high`."""
        return {"probe_auc": self.auc, "probe_auc_low": self.low, "probe_auc_high": self.high}


@dataclass(frozen=True)
class AucGain:
    """Mean AUC of one feature minus that of another, on the same pairs.

    Attributes:
        gain: the difference.
        low, high: its 95 % interval, by resampling the same tracklets for both.
    """

    gain: float
    low: float
    high: float


def measurable(footage: ProbeFootage) -> tuple[PairSet, ...]:
    """Return the pairs of the gaps at which `footage` has enough of either kind."""
    return tuple(pairs for pairs in footage.pairs if _enough(pairs.same))


def mean_auc(footages: Sequence[ProbeFootage], features: Sequence[NDArray[np.float32]], seed: int = 0) -> ProbeAuc:
    """Return the mean AUC over all gaps of all footage, and its interval.

    Args:
        footages: the pairs of each footage.
        features: (n, F) of each, a row per detection; zero rows (no appearance) are left out of all pairs.
        seed: of the resampling.

    Raises:
        ValueError: no gap of any footage has enough pairs.
    """
    values: list[NDArray[np.float64]] = []
    for index, (footage, features_NF) in enumerate(zip(footages, features, strict=True)):
        norms_N1 = np.linalg.norm(features_NF, axis=1, keepdims=True)
        unit_NF = (features_NF / np.where(norms_N1 > 0, norms_N1, 1)).astype(np.float32)
        known_N = norms_N1[:, 0] > 0
        drawn_RT = _drawn(int(footage.tracklets.max()) + 1, np.random.default_rng([seed, index]))
        for pairs in measurable(footage):
            usable = known_N[pairs.first] & known_N[pairs.second]
            if _enough(pairs.same[usable]):
                values.append(_areas(pairs, usable, unit_NF, drawn_RT))
    if not values:
        raise ValueError("no gap has enough pairs")
    # A resampling without any pair of a kind at one gap leaves that gap out; without any at all gaps it is no number.
    areas_GR = np.stack([areas[1:] for areas in values])
    counts_R = np.isfinite(areas_GR).sum(axis=0)
    resampled = np.where(counts_R > 0, np.nansum(areas_GR, axis=0) / np.maximum(counts_R, 1), np.nan)
    low, high = np.nanquantile(resampled, _INTERVAL).tolist()
    return ProbeAuc(float(np.mean([areas[0] for areas in values])), low, high, resampled)


def auc_gain(candidate: ProbeAuc, other: ProbeAuc) -> AucGain:
    """Return how much higher `candidate` scores than `other`, both measured on the same footage with the same seed."""
    low, high = np.nanquantile(candidate.resampled - other.resampled, _INTERVAL).tolist()
    return AucGain(candidate.auc - other.auc, low, high)


def _enough(same: NDArray[np.bool_]) -> bool:
    positives = int(same.sum())
    return min(positives, len(same) - positives) >= MIN_PAIRS


def _drawn(tracklets: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how often every tracklet was drawn: first as it is, then in every resampling; shared by all gaps."""
    draws = [np.ones(tracklets)]
    draws += [
        np.bincount(rng.integers(0, tracklets, tracklets), minlength=tracklets).astype(np.float64)
        for _ in range(_RESAMPLES)
    ]
    return np.stack(draws)


def _areas(
    pairs: PairSet, usable: NDArray[np.bool_], unit_NF: NDArray[np.float32], drawn_RT: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return area of the pairs as they are, then of every resampling."""
    first, second, same = pairs.first[usable], pairs.second[usable], pairs.same[usable]
    first_tracklet, other = pairs.first_tracklet[usable], pairs.second_tracklet[usable]
    cosine = np.einsum("pf,pf->p", unit_NF[first], unit_NF[second], dtype=np.float64)
    levels = np.unique(cosine, return_inverse=True)[1]
    areas = []
    for drawn in drawn_RT:
        # A pair counts as often as its tracklets were drawn, a pair of two as often as both.
        weights = np.where(same, drawn[first_tracklet], drawn[first_tracklet] * drawn[other])
        areas.append(weighted_area(levels, same, weights))
    return np.asarray(areas)
