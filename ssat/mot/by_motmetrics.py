"""CLEAR and identity scores by py-motmetrics, as the paper counted them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from ssat.mot.protocols import IOU_THRESHOLD, ScoredFrame

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
_SHARES = ("mota", "motp", "idf1", "idp", "idr")


def partial_metrics(frames: Iterable[ScoredFrame]) -> dict[str, float]:
    """Return all that motmetrics needs to know of a sequence to score it alone or together with others."""
    with warnings.catch_warnings():
        # Deprecation warnings of pandas and numpy from inside motmetrics.
        warnings.simplefilter("ignore")
        import motmetrics

        accumulator = motmetrics.MOTAccumulator(auto_id=False)
        for frame in frames:
            distance_GR = 1.0 - frame.iou
            # Compared as motmetrics compares: a distance of exactly 0.5 may match.
            distance_GR[distance_GR > 1.0 - IOU_THRESHOLD] = np.nan
            accumulator.update(frame.truth_ids, frame.result_ids, distance_GR, frameid=frame.frame)
        found = motmetrics.metrics.create().compute(
            accumulator, metrics=list(_METRICS.values()), return_dataframe=False, return_cached=True
        )
    # Values that are not numbers are tables over identities and are not summed. A mean overlap without matches would
    # make that of all sequences undefined.
    numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float | np.number)}
    return {name: value if math.isfinite(value) else 0.0 for name, value in numbers.items()}


def scores_over(partials: Sequence[dict[str, float]]) -> dict[str, float | int]:
    """Our key → score over the sequences of `partials`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import motmetrics

        row = motmetrics.metrics.create().compute_overall(
            partials, metrics=[*_METRICS.values(), "num_detections"], return_dataframe=False
        )
    scores: dict[str, float | int] = {}
    for key, name in _METRICS.items():
        value = float(row[name])
        if not math.isfinite(value):
            value = 0.0  # precision of no results
        elif key == "motp":
            value = 1.0 - value if row["num_detections"] else 0.0  # motmetrics gives the mean distance
        scores[key] = value if key in _SHARES else int(value)
    return scores
