"""How a configuration associates: its cost terms, passes, motion model and appearance memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.appearance_memory import Accumulated, AppearanceMemory
from ssat.tracking.assignment import greedy, hungarian
from ssat.tracking.config import TrackerConfig
from ssat.tracking.costs import AppearanceCost, BoxCost, CostTerm
from ssat.tracking.motion import ConstantVelocity, LastBox, Motion
from ssat.tracking.passes import Pass, lost, not_weak, tracked, weak
from ssat.tracking.state import FrameDetections


@dataclass
class Method:
    """What `Tracker.update` runs.

    Attributes:
        terms: computed for every frame.
        passes: in their order.
        may_start: detections → (D,) which of them may start a track; None: all.
    """

    terms: list[CostTerm]
    passes: list[Pass]
    motion: Motion
    appearance: AppearanceMemory
    may_start: Callable[[FrameDetections], NDArray[np.bool_] | None]


def method_of(config: TrackerConfig) -> Method:
    """Return the paper's method (section 3.3) with the extensions that are switched on."""
    terms: list[CostTerm] = [AppearanceCost(missing=0.0 if config.box_term else np.inf)]
    if config.box_term:
        terms.append(BoxCost(config.alpha))
    names = tuple(term.name for term in terms)
    assign = greedy if config.assignment == "greedy" else hungarian
    # The second pass sees only tracks that were lost before this frame: otherwise tau1 would have no effect.
    passes = [
        Pass("tracked tracks", tracked, not_weak, names, config.tau1, assign),
        Pass("lost tracks", lost, not_weak, names, config.tau2, assign),
    ]
    if config.low_score is not None:
        # A weak detection is often partly occluded: it shows where a person is, not what they look like.
        passes.append(Pass("weak detections", tracked, weak, names, config.tau1, assign, updates_appearance=False))
    motion = ConstantVelocity() if config.motion == "kalman" else LastBox()
    return Method(terms, passes, motion, Accumulated(config.beta if config.accumulate else 1.0), not_weak)
