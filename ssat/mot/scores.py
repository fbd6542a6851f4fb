"""CLEAR and identity scores of a tracker's results, per sequence and over all of them, by py-motmetrics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssat.errors import InputError
from ssat.mot.protocols import IOU_THRESHOLD, Protocol, scored_frames
from ssat.mot.rows import MotRows

# Our key → motmetrics' name.
_METRICS = {
    "mota": "mota",
    "motp": "motp",
    "idf1": "idf1",
    "idp": "idp",
    "idr": "idr",
    "mt": "mostly_tracked",
    "pt": "partially_tracked",
    "ml": "mostly_lost",
    "fp": "num_false_positives",
    "fn": "num_misses",
    "idsw": "num_switches",
    "frag": "num_fragmentations",
    "gt_dets": "num_objects",
    "gt_ids": "num_unique_objects",
}
_OVERALL = "OVERALL"


@dataclass(frozen=True)
class Scores:
    """Scores as shares of 1 and counts.

    `mota`, `idf1`, `idp`, `idr`: shares (MOTA may be negative). `motp`: mean IoU of the matched boxes.
    `mt`, `pt`, `ml`: identities found in ≥ 80 %, between, and in < 20 % of their frames. `fp`, `fn`, `idsw`, `frag`:
    counts over all frames. `gt_dets`, `gt_ids`: boxes and identities that ought to be found.
    """

    mota: float
    motp: float
    idf1: float
    idp: float
    idr: float
    mt: int
    pt: int
    ml: int
    fp: int
    fn: int
    idsw: int
    frag: int
    gt_dets: int
    gt_ids: int

    def to_dict(self) -> dict[str, float | int]:
        """Key → value, as in the JSON of the command line."""
        return asdict(self)


@dataclass(frozen=True)
class ToScore:
    """One sequence: its labels, a tracker's results and the frames that count."""

    truth: MotRows
    results: MotRows
    frames: range
    mot20: bool = False


def score(sequences: Mapping[str, ToScore], protocol: Protocol) -> tuple[dict[str, Scores], Scores]:
    """Scores of each sequence, and of all together (counts are summed, shares are computed from the sums).

    Raises:
        InputError: no sequence, or a sequence without a labelled box in the frames that count.
    """
    if not sequences:
        raise InputError("no sequence to score")
    with warnings.catch_warnings():
        # pandas and numpy announce changes to come, from inside motmetrics.
        warnings.simplefilter("ignore")
        import motmetrics

        accumulators = [_accumulate(name, one, protocol) for name, one in sequences.items()]
        table = motmetrics.metrics.create().compute_many(
            accumulators, names=list(sequences), metrics=list(_METRICS.values()), generate_overall=True
        )
    scores = {name: _from_row(table.loc[name]) for name in (*sequences, _OVERALL)}
    overall = scores.pop(_OVERALL)
    return scores, overall


def _accumulate(name: str, one: ToScore, protocol: Protocol) -> Any:
    import motmetrics

    if name == _OVERALL:
        raise InputError(f"a sequence cannot be called {_OVERALL}: that is the name of the last row")
    accumulator = motmetrics.MOTAccumulator(auto_id=False)
    n_labels = 0
    for frame in scored_frames(one.truth, one.results, one.frames, protocol, mot20=one.mot20):
        distance_GR = 1.0 - frame.iou
        # Compared as motmetrics compares: a distance of exactly 0.5 may match.
        distance_GR[distance_GR > 1.0 - IOU_THRESHOLD] = np.nan
        accumulator.update(frame.truth_ids, frame.result_ids, distance_GR, frameid=frame.frame)
        n_labels += len(frame.truth_ids)
    if not n_labels:
        raise InputError(
            f"sequence {name}: no ground truth in frames {one.frames.start} … {one.frames.stop - 1} "
            f"by protocol {protocol}; nothing to score against"
        )
    return accumulator


def _from_row(row: Any) -> Scores:
    values: dict[str, Any] = {}
    for key, name in _METRICS.items():
        value = float(row[name])
        if key == "motp":
            value = 1.0 - value  # motmetrics gives the mean distance
        if not math.isfinite(value):
            value = 0.0  # precision of no results, overlap of no matches
        values[key] = value if key in ("mota", "motp", "idf1", "idp", "idr") else int(value)
    return Scores(**values)
