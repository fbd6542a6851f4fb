"""The held-out measure: does a frame of a clip that was never trained on find its own clip?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.retrieval import RetrievalScores, retrieval_scores
from ssat.embedding.settings import DataSettings
from ssat.frames.crops import read_crops
from ssat.frames.store import FrameStore

# Enough for stable scores, few enough to embed in seconds: 16 clips of 16 frames are 256 queries.
_FRAMES = 16
# The main score excludes frames within a second; the others measure how the score falls with time.
_HEADLINE_GAP_S = 1.0
_OTHER_GAPS_S = (0.1, 5.0)


@dataclass(frozen=True)
class HeldOutFrames:
    """Crops of evenly spaced frames, ordered by class and time: centre crops of clips, or boxes of instances."""

    crops: NDArray[np.uint8]
    """(n, S, S, 3) RGB."""
    clips: NDArray[np.int64]
    """(n,) class id of each crop: of its clip, or of its instance."""
    times_us: NDArray[np.int64]
    """(n,) time in the clip, microseconds."""
    other_gaps_s: tuple[float, ...] = _OTHER_GAPS_S
    """Distances in seconds, beside one second, that are scored."""


@dataclass(frozen=True)
class HeldOutScores:
    """Retrieval among held-out frames, for several least distances in time between a query and its match."""

    headline: RetrievalScores
    """At a distance of one second."""
    by_gap: Mapping[float, RetrievalScores]
    """Further distances in seconds → scores; without those that no clip is long enough for."""

    def named(self) -> dict[str, float]:
        """Return `recall_at_1`, … and per further distance `recall_at_1_gap_0.1s`, …"""
        scores: dict[str, float] = asdict(self.headline)
        for gap, others in self.by_gap.items():
            scores |= {f"{name}_gap_{gap:g}s": value for name, value in asdict(others).items()}
        return scores


def held_out_frames(store: FrameStore, class_ids: Sequence[int], data: DataSettings) -> HeldOutFrames:
    """Return the frames of the clips `class_ids` that the measure uses.

    Raises:
        InputError: a class id that the store does not know, or a frame that cannot be read.
    """
    crops, labels, times = read_crops(store, class_ids, _FRAMES, data.crop, data.short_side)
    return HeldOutFrames(crops, np.asarray(class_ids, np.int64)[labels], times)


def held_out_scores(frames: HeldOutFrames, features_BD: NDArray[np.float32]) -> HeldOutScores:
    """Return the scores of the frames' features (n, 512); they need no unit length."""
    features_BD = features_BD / np.maximum(np.linalg.norm(features_BD, axis=1, keepdims=True), 1e-12)

    def at(gap: float) -> RetrievalScores:
        return retrieval_scores(features_BD, frames.clips, frames.times_us, gap_us=round(1e6 * gap))

    longest = max((np.ptp(frames.times_us[frames.clips == clip]) for clip in np.unique(frames.clips)), default=0)
    gaps = [gap for gap in frames.other_gaps_s if 1e6 * gap <= longest]
    return HeldOutScores(at(_HEADLINE_GAP_S), {gap: at(gap) for gap in gaps})
