"""Assign class ids to collected clips in candidate order, up to the first candidate that is not settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa

from ssat.clips import status as st
from ssat.clips.failures import FailureClass
from ssat.clips.history import History
from ssat.clips.lists import Candidate
from ssat.clips.roster import ROSTER_SCHEMA, appended, load_roster, replaced, roster_facts, save_roster
from ssat.clips.rows import CollectedClip, StatusRow
from ssat.clips.settings import CollectSettings
from ssat.errors import InputError
from ssat.workspace import Workspace

_FACTS = ("seed", "clip_seconds", "min_seconds", "short_side", "crf", "encoder_preset")
_AT_A_TIME = 50_000  # rows as Python objects take much more room than as a table


class GrowingRoster:
    """The roster while it grows.

    Attributes:
        roster: as it is on disk.
        ids: clips that have a class id.
        frontier: candidates before this position are settled, and in the roster where they are collected.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: CollectSettings,
        candidates: Sequence[Candidate],
        history: History,
        give_up: Callable[[StatusRow], None],
    ) -> None:
        """Open the roster. `give_up` takes the row of a clip whose content equals another clip's.

        Raises:
            InputError: the workspace was collected with another seed or cut.
        """
        self._workspace = workspace
        self._wanted = settings.clips
        self._candidates = candidates
        self._history = history
        self._give_up = give_up
        self._facts = {name: str(getattr(settings, name)) for name in _FACTS}
        self.roster = ROSTER_SCHEMA.empty_table()
        if workspace.roster.is_file():
            self.roster = load_roster(workspace)
            self._check_same_facts(roster_facts(self.roster))
        self.ids: set[str] = set(self.roster["clip_id"].to_pylist())
        contents = zip(self.roster["sha256"].to_pylist(), self.roster["clip_id"].to_pylist(), strict=True)
        self._contents: dict[str, str] = dict(contents)
        self.frontier = 0
        self._repaired: list[CollectedClip] = []

    def _check_same_facts(self, facts: dict[str, str]) -> None:
        for name, value in self._facts.items():
            if facts.get(name, value) != value:
                raise InputError(
                    f"workspace {self._workspace.root}: its clips were collected with {name} = {facts[name]}, "
                    f"now {value} is set; class ids would change. Set {name} back, or use another workspace"
                )

    def repaired(self, clip: CollectedClip) -> None:
        """Note that a clip of the roster was collected again."""
        self._repaired.append(clip)

    def give(self) -> None:
        """Append every collected clip before the first unsettled candidate to the roster, up to the wanted number."""
        before: pa.Table = self.roster
        self.roster = replaced(self.roster, self._repaired)
        self._repaired.clear()
        # Repeated, because a twin leaves its class id to a later candidate, and clips are read in batches.
        while ready := self._ready():
            clips: list[CollectedClip] = []
            for clip in self._history.clips(ready):
                twin = self._contents.get(clip.sha256)
                if twin is not None:
                    self._reject_twin(clip, twin)
                else:
                    clips.append(clip)
                    self.ids.add(clip.clip_id)
                    self._contents[clip.sha256] = clip.clip_id
            self.roster = appended(self.roster, clips)
        if not self.roster.equals(before):
            save_roster(self._workspace, self.roster, self._facts)

    def _ready(self) -> list[str]:
        """Return the next collected clips without a class id, as many as are wanted; move the frontier behind them."""
        ready: list[str] = []
        while self.frontier < len(self._candidates):
            clip_id = self._candidates[self.frontier].clip_id
            if not self._history.settled(clip_id):
                break
            if clip_id not in self.ids and self._history.is_collected(clip_id):
                if len(self.ids) + len(ready) >= self._wanted or len(ready) == _AT_A_TIME:
                    break
                ready.append(clip_id)
            self.frontier += 1
        return ready

    def _reject_twin(self, clip: CollectedClip, twin: str) -> None:
        """Give up the later of two candidates with the same content: two such classes cannot be distinguished."""
        row = self._history.row(clip.clip_id)
        self._give_up(
            replace(
                row,
                attempt=row.attempt + 1,
                status=st.DEAD,
                error_class=FailureClass.MEDIA.value,
                error_message=f"the same content as clip {twin}",
                started_at=st.now(),
            )
        )
        self._workspace.absolute(clip.path).unlink(missing_ok=True)
