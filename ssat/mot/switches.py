"""Identity switches: the events behind their number, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ssat.mot.protocols import IOU_THRESHOLD, Protocol, ScoredFrame

_KEEP = 1000.0  # outweighs any sum of overlaps in a frame: a pair that continues is kept where it still overlaps
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Switch:
    """A labelled person continues under another identity.

    Attributes:
        frame: the first frame under the new identity.
        seen: the frame in which the person was last found before, under the old one.
        truth: identity in the labels.
        before, after: identities in the results.
        held_before, held_after: in how many frames in a row the person was found under each.
    """

    frame: int
    seen: int
    truth: int
    before: int
    after: int
    held_before: int
    held_after: int

    @property
    def weight(self) -> int:
        """Severity: a change between two long stretches counts more than a flicker."""
        return min(self.held_before, self.held_after)


@dataclass(frozen=True)
class Stretch:
    """A labelled person found under one identity, in `frames` frames from `first` to `last`; gaps may lie between."""

    truth: int
    result: int
    first: int
    last: int
    frames: int


def stretches(frames: Iterable[ScoredFrame], protocol: Protocol) -> list[Stretch]:
    """Who was found as whom and when, by CLEAR matching (Bernardin and Stiefelhagen 2008), in order of the first frame.

    A pair is kept while it overlaps by half: under `centertrack-half` the last pair of a person from any frame before
    (py-motmetrics), under `motchallenge` that of the frame before only (TrackEval). The others are matched by the
    largest sum of overlaps.
    """
    from scipy.optimize import linear_sum_assignment

    open_: dict[int, list[int]] = {}  # truth → result, first, last, frames
    closed: list[Stretch] = []
    before: dict[int, int] = {}
    for frame in frames:
        truth, result = frame.truth_ids.tolist(), frame.result_ids.tolist()
        kept = (
            before
            if protocol == "motchallenge"
            else {person: open_stretch[0] for person, open_stretch in open_.items()}
        )
        gain = np.where(frame.iou >= IOU_THRESHOLD - _EPSILON, frame.iou, 0.0)
        for row, person in enumerate(truth):
            if person in kept and kept[person] in result:
                gain[row, result.index(kept[person])] += _KEEP * (gain[row, result.index(kept[person])] > 0)
        pairs: dict[int, int] = {}
        rows, columns = linear_sum_assignment(gain, maximize=True)
        for index, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if gain[index, column] > 0:
                pairs[truth[index]] = result[column]
        for person, identity in pairs.items():
            open_stretch = open_.get(person)
            if open_stretch is not None and open_stretch[0] == identity:
                open_stretch[2], open_stretch[3] = frame.frame, open_stretch[3] + 1
                continue
            if open_stretch is not None:
                closed.append(Stretch(person, *open_stretch))
            open_[person] = [identity, frame.frame, frame.frame, 1]
        before = pairs
    closed += [Stretch(person, *open_stretch) for person, open_stretch in open_.items()]
    return sorted(closed, key=lambda stretch: (stretch.first, stretch.truth))


def identity_switches(found: Iterable[Stretch]) -> list[Switch]:
    """Return every change from one stretch of a person to the next, in order of the frames."""
    last: dict[int, Stretch] = {}
    events = []
    for stretch in found:
        if (old := last.get(stretch.truth)) is not None:
            events.append(
                Switch(stretch.first, old.last, stretch.truth, old.result, stretch.result, old.frames, stretch.frames)
            )
        last[stretch.truth] = stretch
    return sorted(events, key=lambda event: (event.frame, event.truth))
