"""Mean and confidence interval over a few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Mean of `n` values and the half width of its confidence interval; nan if one value cannot say."""

    mean: float
    half: float
    n: int


def confidence_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval of the mean: exact for normally spread values however few they are.

    Raises:
        ValueError: no values.
    """
    n = len(values)
    if not n:
        raise ValueError("no values")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, math.nan, 1)
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Interval(mean, float(t.ppf(0.5 + confidence / 2, n - 1)) * deviation / math.sqrt(n), n)
