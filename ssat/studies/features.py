"""Features on the same detections: how well each distinguishes people, by labels and by the label-free probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError
from ssat.mot.ceiling import true_identities
from ssat.mot.protocols import Protocol
from ssat.mot.rows import MotRows
from ssat.studies.settings import FeaturesStudySettings
from ssat.tracking.probe import ProbeFootage
from ssat.tracking.probe_auc import AucGain, ProbeAuc, auc_gain, mean_auc, measurable
from ssat.tracking.tracklets import LinkRule

# The rank correlation of fewer features is 1 or -1 by chance.
MIN_RANKED = 4


@dataclass(frozen=True)
class StudiedSequence:
    """The pairs of one sequence.

    Attributes:
        free: from linked boxes; None if they give too few pairs.
        labelled: from labels; None if they give too few pairs.
        notes: what cannot be measured.
    """

    name: str
    free: ProbeFootage | None
    labelled: ProbeFootage | None
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        name: str,
        detections: MotRows,
        truth: MotRows,
        frame_rate: float,
        settings: FeaturesStudySettings,
        protocol: Protocol = "motchallenge",
    ) -> StudiedSequence:
        """Collect the pairs of one sequence."""
        rows, notes = detections, []

        def by_boxes() -> ProbeFootage:
            rule = LinkRule(rejoin_seconds=settings.rejoin_seconds)
            gaps = settings.probe_gaps_seconds
            return ProbeFootage.of_boxes(rows.frames, rows.boxes, frame_rate, gaps_seconds=gaps, rule=rule)

        def by_labels() -> ProbeFootage:
            people = true_identities(rows, truth, protocol)
            gaps = (settings.gap_seconds,)
            return ProbeFootage.of_labels(rows.frames, rows.boxes, people, frame_rate, gaps_seconds=gaps)

        found: list[ProbeFootage | None] = []
        kinds = (
            ("without labels", by_boxes, settings.probe_gaps_seconds),
            ("by labels", by_labels, (settings.gap_seconds,)),
        )
        for kind, collect, gaps in kinds:
            try:
                pairs: ProbeFootage | None = collect()
            except InputError as error:
                pairs = None
                notes.append(f"{name}: no AUC {kind}: {error}")
            if pairs is not None and not measurable(pairs):
                notes.append(f"{name}: no AUC {kind}: too few pairs {_seconds(gaps)} s apart")
                pairs = None
            found.append(pairs)
        return cls(name, found[0], found[1], tuple(notes))


@dataclass(frozen=True)
class FeatureAuc:
    """AUC of one feature.

    Attributes:
        labelled, free: mean over the sequences that can be measured, by labels and without; None: no sequence can.
        by_sequence: sequence → AUC by labels and without; None if it cannot be measured.
    """

    labelled: ProbeAuc | None
    free: ProbeAuc | None
    by_sequence: Mapping[str, tuple[float | None, float | None]]

    def to_dict(self) -> dict[str, float | None]:
        """Return `auc`, `probe_auc` and the ends of their 95 % intervals; None if not measured."""
        values: dict[str, float | None] = {}
        for key, auc in (("auc", self.labelled), ("probe_auc", self.free)):
            values |= {
                key: None if auc is None else auc.auc,
                f"{key}_low": None if auc is None else auc.low,
                f"{key}_high": None if auc is None else auc.high,
            }
        return values


def feature_auc(sequences: Sequence[StudiedSequence], features: Mapping[str, NDArray[np.float32]]) -> FeatureAuc:
    """Score one feature.

    Args:
        sequences: their pairs.
        features: sequence → (n, F), a row per detection.
    """
    by_sequence = {
        sequence.name: (
            _auc_or_none([sequence.labelled], [features[sequence.name]]),
            _auc_or_none([sequence.free], [features[sequence.name]]),
        )
        for sequence in sequences
    }
    matrices = [features[sequence.name] for sequence in sequences]
    labelled = _mean([sequence.labelled for sequence in sequences], matrices)
    return FeatureAuc(labelled, _mean([sequence.free for sequence in sequences], matrices), by_sequence)


def gain_over(candidate: ProbeAuc | None, reference: ProbeAuc | None) -> AucGain | None:
    """Return how much higher `candidate` scores than `reference`; None if one of them is not measured."""
    return None if candidate is None or reference is None else auc_gain(candidate, reference)


def rank_correlation(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Return Spearman's rank correlation over features that have both scores; None with fewer than `MIN_RANKED`."""
    from scipy.stats import rankdata

    known = [
        (score, other) for score, other in zip(first, second, strict=True) if score is not None and other is not None
    ]
    if len(known) < MIN_RANKED:
        return None
    ranks_2N = np.stack([rankdata(np.array(values)) for values in zip(*known, strict=True)])
    if (ranks_2N.std(axis=1) == 0).any():  # all features alike
        return None
    return float(np.corrcoef(ranks_2N)[0, 1])


def _seconds(gaps: Sequence[float]) -> str:
    return ", ".join(f"{gap:g}" for gap in gaps)


def _mean(footages: Sequence[ProbeFootage | None], features: Sequence[NDArray[np.float32]]) -> ProbeAuc | None:
    known = [(pairs, matrix) for pairs, matrix in zip(footages, features, strict=True) if pairs is not None]
    if not known:
        return None
    try:
        return mean_auc([pairs for pairs, _ in known], [matrix for _, matrix in known])
    except ValueError:  # boxes outside the picture have no appearance, and nothing is left
        return None


def _auc_or_none(footages: Sequence[ProbeFootage | None], features: Sequence[NDArray[np.float32]]) -> float | None:
    auc = _mean(footages, features)
    return None if auc is None else auc.auc
