"""Scores of a tracker's results by a named protocol, per sequence and over all of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np

from ssat.errors import InputError
from ssat.mot.clear import Clear
from ssat.mot.hota import Hota
from ssat.mot.identity import Identity
from ssat.mot.protocols import Protocol, Rules, ScoredSequence, labels_that_count, scored_frames
from ssat.mot.rows import PEDESTRIAN, MotRows
from ssat.mot.score_values import Scores

# A process takes about a second to start: the frames of each must take longer than this, in milliseconds.
_FRAME_MS = {"centertrack-half": 5.0, "motchallenge": 0.3}
_MIN_MS_PER_PROCESS = 3000.0


@dataclass(frozen=True)
class ToScore:
    """One sequence: its labels, a tracker's results, the frames that count, what the data set adds to the protocol."""

    truth: MotRows
    results: MotRows
    frames: range
    rules: Rules = "mot"


@dataclass(frozen=True)
class _Official:
    """One sequence by the official definitions."""

    clear: Clear
    identity: Identity
    hota: Hota
    gt_ids: int

    def __add__(self, other: _Official) -> _Official:
        return _Official(
            self.clear + other.clear,
            self.identity + other.identity,
            self.hota + other.hota,
            self.gt_ids + other.gt_ids,
        )

    def scores(self) -> Scores:
        clear, identity, hota = self.clear, self.identity, self.hota
        return Scores(
            mota=clear.mota,
            motp=clear.motp,
            idf1=identity.idf1,
            idp=identity.idp,
            idr=identity.idr,
            mt=clear.mt,
            pt=clear.pt,
            ml=clear.ml,
            fp=clear.fp,
            fn=clear.fn,
            idsw=clear.idsw,
            frag=clear.frag,
            hota=hota.hota,
            deta=hota.deta,
            assa=hota.assa,
            gt_dets=hota.n_truth,
            gt_ids=self.gt_ids,
        )


_Counts = tuple[_Official, dict[str, float]]


def refuse_without_labels_that_count(name: str, truth: MotRows, protocol: Protocol) -> None:
    """Refuse labels of which none counts: every score of a perfect tracker would be 0.

    Raises:
        InputError: names the flags and classes that there are.
    """
    if not len(truth) or labels_that_count(truth, protocol).any():
        return
    classes = f", classes {', '.join(map(str, np.unique(truth.classes).tolist()))}" if truth.has_classes else ""
    wanted = "a flag of 1 or more" if protocol == "centertrack-half" else f"class {PEDESTRIAN} with a flag other than 0"
    raise InputError(
        f"sequence {name}: none of {len(truth)} labels counts by the protocol {protocol}: flags "
        f"{truth.scores.min():g} … {truth.scores.max():g}{classes}; expected {wanted}"
    )


class Scoring:
    """Sequences scored one by one, to be summed over all of them or over some.

    Args:
        sequences: name → what is scored.
        protocol: how.
        processes: sequences are shared out among so many, where that saves time. With more than 1 the caller's main
            module must be importable (`if __name__ == "__main__"`), for processes are spawned.
        official: count CLEAR and identity scores by the official definitions whatever the protocol, which only selects
            the boxes then; a fifteenth of the time of py-motmetrics, and the same IDF1.

    Raises:
        InputError: no sequence, or a sequence without a label that counts in its frames, or whose results all lie
            outside them.
    """

    def __init__(
        self, sequences: Mapping[str, ToScore], protocol: Protocol, processes: int = 1, *, official: bool = False
    ) -> None:
        if not sequences:
            raise InputError("no sequence to score")
        for name, sequence in sequences.items():
            if not len(sequence.truth.within(sequence.frames)):
                raise InputError(
                    f"sequence {name}: no ground truth in frames {sequence.frames.start} … {sequence.frames.stop - 1}; "
                    "nothing to score against"
                )
            refuse_without_labels_that_count(name, sequence.truth.within(sequence.frames), protocol)
            if len(sequence.results) and not len(sequence.results.within(sequence.frames)):
                raise InputError(
                    f"sequence {name}: none of {len(sequence.results)} rows of the results lies in the scored frames "
                    f"{sequence.frames.start} … {sequence.frames.stop - 1}: theirs are {sequence.results.frames[0]} … "
                    f"{sequence.results.frames[-1]}; choose another split, or track those frames"
                )
        self.protocol, self._official = protocol, official or protocol == "motchallenge"
        work = partial(_counted, protocol=protocol, official=self._official)
        self._counts = dict(
            zip(
                sequences,
                _mapped(work, sequences, "motchallenge" if self._official else protocol, processes),
                strict=True,
            )
        )

    def over(self, *names: str) -> Scores:
        """Return the scores of some sequences together, or of all: counts are summed, shares follow from the sums."""
        chosen = [self._counts[name] for name in names or self._counts]
        official: _Official = reduce(add, [scored for scored, _ in chosen])
        if self._official:
            return official.scores()
        from ssat.mot.by_motmetrics import scores_over

        values: dict[str, Any] = official.scores().to_dict() | scores_over([metrics for _, metrics in chosen])
        return Scores(**values)


def score(sequences: Mapping[str, ToScore], protocol: Protocol, processes: int = 1) -> tuple[dict[str, Scores], Scores]:
    """Return scores of each sequence, and of all together.

    `motchallenge`: CLEAR, identity and HOTA as TrackEval defines them. `centertrack-half`: CLEAR and identity by
    py-motmetrics, and HOTA of the boxes that this protocol lets through.

    Raises:
        InputError: as `Scoring`.
    """
    scoring = Scoring(sequences, protocol, processes)
    return {name: scoring.over(name) for name in sequences}, scoring.over()


def _mapped(
    work: Callable[[ToScore], _Counts], sequences: Mapping[str, ToScore], protocol: Protocol, processes: int
) -> list[_Counts]:
    costs = {name: len(sequence.frames) * _FRAME_MS[protocol] for name, sequence in sequences.items()}
    processes = min(processes, len(sequences), int(sum(costs.values()) / _MIN_MS_PER_PROCESS))
    if processes < 2:
        return [work(sequence) for sequence in sequences.values()]
    # Spawned, not forked: the caller may run threads. The longest first, so that none is waited for.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = {
            name: pool.submit(work, sequences[name]) for name in sorted(costs, key=costs.__getitem__, reverse=True)
        }
        return [waiting[name].result() for name in sequences]


def _counted(to_score: ToScore, protocol: Protocol, official: bool) -> _Counts:
    """Return the summable counts: official definitions, and py-motmetrics if the protocol uses it."""
    frames = list(scored_frames(to_score.truth, to_score.results, to_score.frames, protocol, rules=to_score.rules))
    sequence = ScoredSequence.of(frames)
    hota = Hota.of(sequence)
    if official:
        return _Official(Clear.of(sequence), Identity.of(sequence), hota, sequence.n_truth_ids), {}
    from ssat.mot.by_motmetrics import partial_metrics

    return _Official(Clear(), Identity(), hota, sequence.n_truth_ids), partial_metrics(frames)
