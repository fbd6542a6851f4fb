"""The association of a configuration: its cost terms, passes, motion model and appearance memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.tracking.appearance_memory import Accumulated, AppearanceMemory, Gallery, Summed
from ssat.tracking.assignment import greedy, hungarian, mutual
from ssat.tracking.calibration import Calibration
from ssat.tracking.config import TrackerConfig
from ssat.tracking.costs import (
    AppearanceCost,
    AppearanceGate,
    BoxCost,
    CostTerm,
    MotionGate,
    OverlapCost,
    WeakPenalty,
)
from ssat.tracking.long_memory import LongMemory
from ssat.tracking.motion import ConstantVelocity, LastBox, Motion
from ssat.tracking.passes import Pass, every, lost, not_weak, tracked, weak
from ssat.tracking.state import FrameDetections

_OTHER_PERSON = 1.0  # calibrated appearance cost above which an overlapping box shows another person


@dataclass
class Method:
    """The parts that `Tracker.update` runs.

    Attributes:
        terms: computed for every frame.
        passes: in their order.
        may_start: detections → (D,) which of them may start a track; None: all.
        counts_hits: whether `TrackState.hits` is kept.
        calibration: scale of the appearance cost, where there is one.
        long_memory: who left, where people are remembered.
    """

    terms: list[CostTerm]
    passes: list[Pass]
    motion: Motion
    appearance: AppearanceMemory
    may_start: Callable[[FrameDetections], NDArray[np.bool_] | None]
    counts_hits: bool = False
    calibration: Calibration | None = None
    long_memory: LongMemory | None = None


def method_of(config: TrackerConfig, frame_rate: float) -> Method:
    """Return the paper's method (section 3.3) with the extensions that are switched on."""
    calibration = Calibration(config.stored_median) if config.calibrate else None
    appearance = AppearanceCost(config.missing_appearance_cost if config.box_term else np.inf, calibration)
    terms: list[CostTerm] = [appearance]
    if config.box_term:
        terms.append(BoxCost(config.alpha))
    if config.motion_gate:
        terms.append(MotionGate())
    joined = config.weak_penalty is not None
    if config.weak_penalty is not None:
        terms.append(WeakPenalty(config.weak_penalty))
    names = tuple(term.name for term in terms)
    assign = {"greedy": greedy, "hungarian": hungarian, "mutual": mutual}[config.assignment]
    first = every if joined else not_weak
    # The second pass sees only tracks that were lost before this frame: otherwise tau1 would have no effect.
    passes = [
        Pass("tracked tracks", tracked, first, names, config.tau1, assign),
        Pass("lost tracks", lost, not_weak, names, config.tau2, assign),
    ]
    if config.low_score is not None and not joined:
        # A weak detection is often partly occluded: its position is usable, its appearance is not.
        passes.append(Pass("weak detections", tracked, weak, names, config.tau1, assign, updates_appearance=False))
    if config.overlap_pass is not None and config.overlap_pass < 1:
        terms += [OverlapCost(), AppearanceGate(appearance, _OTHER_PERSON)]
        passes.append(
            Pass(
                "overlap",
                tracked,
                first,
                ("overlap", "appearance gate"),
                1.0 - config.overlap_pass,
                assign,
                updates_appearance=False,
            )
        )
    motion = ConstantVelocity(config.hold_size, frame_rate) if config.motion == "kalman" else LastBox()
    beta = config.beta if config.accumulate else 1.0
    memory: AppearanceMemory = Gallery(beta, config.gallery) if config.gallery else Accumulated(beta)
    long_memory = None
    if config.remember_seconds > 0:
        long_memory = LongMemory(round(config.remember_seconds * frame_rate), config.false_join_rate)
        memory = Summed(memory, long_memory.within)
    counts_hits = config.confirm_hits > 1 or config.gallery > 0 or long_memory is not None
    return Method(terms, passes, motion, memory, not_weak, counts_hits, calibration, long_memory)
