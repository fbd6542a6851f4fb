"""The two references of a benchmark: oracle identities, and the box term alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ssat.mot.ceiling import Ceiling, oracle_results
from ssat.mot.protocols import Protocol, Rules
from ssat.mot.rows import MotRows
from ssat.mot.scores import Scoring, ToScore
from ssat.pipeline.pipeline import track_frames
from ssat.tracking.config import QUICK_ALPHA, TrackerConfig
from ssat.tracking.tracker import Tracker

# The lower reference is the same for every tracker, so shares of benchmarks on the same boxes can be compared.
BOX_ALONE = TrackerConfig(alpha=QUICK_ALPHA)


@dataclass(frozen=True)
class CeilingInput:
    """One sequence: its detections, labels, frames that count, rules of its data set, frames per second."""

    detections: MotRows
    truth: MotRows
    frames: range
    rules: Rules
    frame_rate: float


class Ceilings:
    """The ceilings of sequences, alone and together.

    CLEAR and identity scores are counted by the official definitions; `protocol` selects the boxes that count.
    """

    def __init__(self, sequences: Mapping[str, CeilingInput], protocol: Protocol, processes: int = 1) -> None:
        self._names, to_score = tuple(sequences), {}
        for name, sequence in sequences.items():
            oracle = oracle_results(sequence.detections, sequence.truth, protocol)
            to_score[name, "oracle"] = ToScore(sequence.truth, oracle, sequence.frames, sequence.rules)
            to_score[name, "box"] = ToScore(sequence.truth, _by_boxes(sequence), sequence.frames, sequence.rules)
        named = {f"{name} ({kind})": scored for (name, kind), scored in to_score.items()}
        self._scoring = Scoring(named, protocol, processes, official=True)

    def over(self, *names: str) -> Ceiling:
        """Return the ceiling of some sequences together, or of all: counts are summed, shares follow from the sums."""
        names = names or self._names
        oracle = self._scoring.over(*(f"{name} (oracle)" for name in names))
        boxes = self._scoring.over(*(f"{name} (box)" for name in names))
        return Ceiling(oracle.mota, oracle.idf1, oracle.hota, boxes.idf1)


def _by_boxes(sequence: CeilingInput) -> MotRows:
    frames = ((number, None) for number in sequence.frames)
    return track_frames(frames, sequence.detections, Tracker(BOX_ALONE, sequence.frame_rate)).rows()
