"""The result of each rung, kept in the workspace: the memory of a climb that takes many runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssat.errors import WorkspaceError
from ssat.workspace import Workspace, committed

# If a list has fewer clips than a rung, they are trained if they are at least this multiple of the last rung.
_MIN_GROWTH = 1.2


class Rung(BaseModel):
    """One rung that was reached. `classes` are the clips that could be decoded; scores as the benchmark gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: int = Field(ge=2)
    classes: int = Field(ge=2)
    finished_at: str
    embedder: str
    model_version: str
    architecture: str
    overall: dict[str, Any]
    protocol: str
    minutes: dict[str, float]
    stored_bytes: int = Field(ge=0)
    frames_per_second: float = Field(ge=0)
    images: int = Field(ge=0)
    training_seconds: float = Field(ge=0)
    promoted: bool
    verdict: str


@dataclass(frozen=True)
class ClimbResult:
    """Result of one run on the ladder.

    Attributes:
        rungs: that this run reached.
        ladder: all that were.
        champion: its rung; None before the first.
        stopped: why the run ended early; empty if it did not.
        next: clips of the next rung; None at the top.
        stored_gib: of clips and frames, in GiB.
        summary: all of this in a sentence; `told` in JSON.
    """

    rungs: tuple[Rung, ...]
    ladder: tuple[Rung, ...]
    champion: Rung | None
    stopped: str
    next: int | None
    stored_gib: float
    summary: str

    def as_json(self) -> Mapping[str, object]:
        """Return JSON values; of the champion its clips, embedder, version and scores."""
        shown = {"clips", "embedder", "model_version", "overall"}
        return {
            "rungs": [rung.model_dump(mode="json") for rung in self.rungs],
            "ladder": [rung.model_dump(mode="json") for rung in self.ladder],
            "champion": None if self.champion is None else self.champion.model_dump(mode="json", include=shown),
            "stopped": self.stopped,
            "next": self.next,
            "stored_gib": self.stored_gib,
            "told": self.summary,
        }


class Ladder(BaseModel):
    """The rungs that were reached, in that order; `scale/ladder.json` in the workspace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rungs: tuple[Rung, ...] = ()

    @classmethod
    def load(cls, workspace: Workspace) -> Self:
        """Return the ladder of the workspace, empty if none was begun.

        Raises:
            WorkspaceError: its file is damaged.
        """
        path = _path(workspace)
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            raise WorkspaceError(
                f"{path}: not a readable ladder ({str(error).splitlines()[0]}); remove it to climb again: what was "
                "collected, decoded and trained is kept and not done again"
            ) from error

    def with_rung(self, workspace: Workspace, rung: Rung) -> Ladder:
        """Return this ladder with one more rung, committed to the workspace."""
        grown = Ladder(rungs=(*self.rungs, rung))
        with committed(_path(workspace)) as temporary:
            temporary.write_text(json.dumps(grown.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        return grown

    @property
    def last(self) -> Rung | None:
        """The rung that was reached last."""
        return self.rungs[-1] if self.rungs else None

    @property
    def champion(self) -> Rung | None:
        """The rung that was promoted last."""
        return next((rung for rung in reversed(self.rungs) if rung.promoted), None)

    def next_clips(self, ladder: Sequence[int]) -> int | None:
        """Training clips of the next rung of `ladder`; None above its last one."""
        reached = self.last.clips if self.last else 0
        return next((clips for clips in ladder if clips > reached), None)

    def worth(self, clips: int) -> bool:
        """Return whether so many clips, all that a list has, are worth a rung of their own."""
        return clips >= 2 and (self.last is None or clips >= _MIN_GROWTH * self.last.clips)


def _path(workspace: Workspace) -> Path:
    return workspace.root / "scale" / "ladder.json"
