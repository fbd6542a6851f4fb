"""The result of a run of the collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from ssat.clips.folders import Skipped
from ssat.clips.lists import RejectedRow


@dataclass(frozen=True)
class SkippedFiles:
    """Files of one folder that were left out for one reason."""

    folder: str
    group: Skipped

    def as_json(self) -> Mapping[str, object]:
        """Return the folder beside the fields of the group."""
        return {"folder": self.folder, **asdict(self.group)}


@dataclass(frozen=True)
class ArchiveProblem:
    """The address of an archive, without credentials, and what is wrong with it."""

    archive: str
    problem: str


@dataclass(frozen=True)
class CollectResult:
    """Result of a run, and the content of the workspace.

    Attributes:
        source: of the clips, as the settings name it.
        clips: number of clips in the roster.
        wanted: how many were asked for.
        attempted, collected: candidates of this run.
        candidates: of the list.
        left: candidates that are not settled yet.
        by_class: outcome → clips of the list.
        rejected: rows of the list that cannot be used.
        rejected_rows: the first of them.
        skipped: files of folders that were left out.
        skipped_files: the same by folder and reason.
        archives: those that could not be used.
        stopped: why the run ended early; empty if it did not.
        seconds: that it took.
        roster: path, relative to the workspace.
        pause_s: seconds for which the egress is paused.
    """

    source: str
    clips: int
    wanted: int
    attempted: int
    collected: int
    candidates: int
    left: int
    by_class: dict[str, int]
    rejected: int
    rejected_rows: tuple[RejectedRow, ...]
    skipped: int
    skipped_files: tuple[SkippedFiles, ...]
    archives: tuple[ArchiveProblem, ...]
    stopped: str
    seconds: float
    run_id: str
    roster: str
    pause_s: int

    def as_json(self) -> Mapping[str, object]:
        """Return the fields; `clips` is called `ranks` in JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"ranks": values.pop("clips"), **values}
