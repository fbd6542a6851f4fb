"""The plan: which candidates are worked through next, and at which of their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ssat.clips.growing_roster import GrowingRoster
from ssat.clips.history import History
from ssat.clips.lists import Candidate
from ssat.clips.settings import CollectSettings
from ssat.clips.sources.chain import Chain
from ssat.clips.stages import Offer

# Try at most four times the wanted number, even if few clips succeeded so far.
_MIN_SUCCESS = 0.25


@dataclass(frozen=True)
class Shard:
    """The work of one task run: positions in the candidate order, at one stage of the sources."""

    number: int
    positions: tuple[int, ...]
    stage: int
    offer: Offer

    @property
    def archive(self) -> str | None:
        """The archive that is read for these clips; None if they are fetched one by one."""
        return self.offer.archive


class CollectPlan:
    """The wanted candidates that are not settled, shard by shard."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        history: History,
        roster: GrowingRoster,
        chain: Chain,
        settings: CollectSettings,
    ) -> None:
        self._candidates = candidates
        self._history = history
        self._roster = roster
        self._chain = chain
        self._settings = settings
        self._shards = 0
        self._stage: dict[int, int] = {}
        self._passed_over: set[int] = set()
        # Wanted positions of the archives that are being read: each is read once for all of them.
        self._batch: list[int] = []
        self.attempted = self.collected = 0

    def pass_over(self, position: int) -> None:
        """Postpone this candidate to another run, or to the end of a pause."""
        self._passed_over.add(position)

    def advance(self, position: int) -> None:
        """Move this candidate to the next stage: the current one lacks it."""
        self._stage[position] = self._stage.get(position, 0) + 1

    def is_last(self, stage: int) -> bool:
        """Return whether no source comes after this stage."""
        return stage == len(self._chain.stages) - 1

    @property
    def waiting(self) -> bool:
        """Whether candidates were passed over."""
        return bool(self._passed_over)

    def forget_waiting(self) -> None:
        """Take up postponed candidates again after a pause."""
        self._passed_over.clear()

    def next_shard(self, pause: Callable[[], str], absent: Callable[[int], None]) -> tuple[Shard | None, str]:
        """Return the next shard, or None and why: empty when nothing is left to do.

        `pause` returns why the network may not be used, empty if it may. `absent` is called with each candidate that no
        source has.
        """
        while True:
            for number, stage in enumerate(self._chain.stages):
                positions = self._batch_positions(number) if stage.batch else self._next_positions(number)
                if not positions:
                    continue
                offer = stage.offer({self._candidates[position].clip_id for position in positions})
                if offer is None:
                    # This stage has none of these clips.
                    for position in positions:
                        if self.is_last(number):
                            absent(position)
                        else:
                            self.advance(position)
                    self._batch = []
                    break
                if offer.network and (reason := pause()):
                    return None, reason
                self._shards += 1
                return Shard(self._shards, tuple(positions), number, offer), ""
            else:
                return None, ""

    def _next_positions(self, stage: int) -> list[int]:
        return list(self._wanted(stage, self._settings.candidates_per_shard))

    def _batch_positions(self, stage: int) -> list[int]:
        self._batch = [
            position
            for position in self._batch
            if self._stage.get(position, 0) == stage
            and position not in self._passed_over
            and not self._history.settled(self._candidates[position].clip_id)
        ]
        if not self._batch:
            self._batch = list(self._wanted(stage, len(self._candidates)))
        return self._batch

    def _wanted(self, stage: int, at_most: int) -> Iterator[int]:
        """Yield positions at `stage` that have to be tried for the wanted clips."""
        expected = float(len(self._roster.ids))
        success = max(_MIN_SUCCESS, self.collected / self.attempted) if self.attempted else 1.0
        success = min(success, self._chain.stages[stage].max_success)
        found = 0
        for position in range(self._roster.frontier, len(self._candidates)):
            if found == at_most:
                return
            clip_id = self._candidates[position].clip_id
            ranked = clip_id in self._roster.ids
            if not ranked and expected >= self._settings.clips:
                continue  # a clip of the roster whose file was lost is collected again even if no new clip is wanted
            if self._history.settled(clip_id):
                # Collected, and waiting for its class id behind a candidate that is not settled.
                expected += int(not ranked and self._history.is_collected(clip_id))
            elif position not in self._passed_over:
                expected += 0 if ranked else success
                if self._stage.get(position, 0) == stage:
                    found += 1
                    yield position
