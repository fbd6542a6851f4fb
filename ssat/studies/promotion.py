"""The promotion rule, over scores alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ssat.tracking.probe_auc import AucGain

Metric = Literal["idf1", "mota", "hota", "assa"]


@dataclass(frozen=True)
class Promotion:
    """Decision of the promotion rule.

    Attributes:
        promoted: whether the candidate becomes the champion.
        gain: candidate minus champion, as a share of 1; None if there is no champion to compare with.
        spread: the largest minus the smallest score among trainings that differ in their seed alone; None where
            that is not known.
        reason: why, in words.
    """

    promoted: bool
    gain: float | None
    spread: float | None
    reason: str


def decide_promotion(
    candidate: float,
    champion: float | None,
    candidate_seeds: Sequence[float] = (),
    champion_seeds: Sequence[float] = (),
    *,
    spread: float | None = None,
    metric: Metric = "idf1",
    probe: AucGain | None = None,
) -> Promotion:
    """Decide: promote the candidate if its gain over the champion exceeds the seeds' spread.

    Two trainings that differ in nothing but their seed differ in their scores as well; a gain within that spread says
    nothing about the recipe. The spread is the larger one of the candidate's and the champion's recipe.

    Args:
        candidate: its score on the named split, as a share of 1.
        champion: that of the champion, on the same sequences under the same settings; None: there is no champion yet.
        candidate_seeds: scores of the candidate's recipe under several seeds, its own among them.
        champion_seeds: the same of the champion's recipe.
        spread: stated by hand instead, as a share of 1; the seeds are not used then.
        metric: named in the reason.
        probe: how much higher the candidate's AUC is on unlabelled footage; where given, its interval must lie above 0
            as well.

    Raises:
        ValueError: a spread below zero.
    """
    if spread is not None and spread < 0:
        raise ValueError(f"spread {spread:g} is below 0")
    decision = _by_score(candidate, champion, candidate_seeds, champion_seeds, spread, metric.upper())
    if probe is None or champion is None:
        return decision
    compared = f"probe AUC {100 * probe.gain:+.2f} (95 % interval {100 * probe.low:+.2f} to {100 * probe.high:+.2f})"
    higher = probe.low > 0
    reason = f"{decision.reason}; {compared}: {'higher beyond its interval' if higher else 'not higher'}"
    return replace(decision, promoted=decision.promoted and higher, reason=reason)


def _by_score(
    candidate: float,
    champion: float | None,
    candidate_seeds: Sequence[float],
    champion_seeds: Sequence[float],
    spread: float | None,
    name: str,
) -> Promotion:
    if champion is None:
        return Promotion(True, None, spread, f"there is no champion yet; {name} {100 * candidate:.2f}")
    gain = candidate - champion
    compared = f"{name} {100 * candidate:.2f} against the champion's {100 * champion:.2f} ({100 * gain:+.2f})"
    source = "as stated"
    if spread is None:
        known = {
            f"{len(scores)} seeds of the {whose}'s recipe": max(scores) - min(scores)
            for whose, scores in (("candidate", candidate_seeds), ("champion", champion_seeds))
            if len(scores) >= 2
        }
        if not known:
            if gain <= 0:
                return Promotion(False, gain, None, f"{compared}: not better")
            return Promotion(
                False, gain, None, f"{compared}, but how far seeds spread is not known: train and score another seed"
            )
        source, spread = max(known.items(), key=lambda item: item[1])
    within = f"the spread of {100 * spread:.2f} ({source})"
    if gain <= 0:
        return Promotion(False, gain, spread, f"{compared}: not better")
    if gain > spread:
        return Promotion(True, gain, spread, f"{compared}: more than {within}")
    return Promotion(False, gain, spread, f"{compared}: not more than {within}")
