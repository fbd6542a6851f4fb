"""Facts about the last collector; with the status table they give rate and remaining time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ssat.clips import status as st
from ssat.clips.roster import load_roster
from ssat.locks import holder
from ssat.workspace import Workspace, committed

# The rate of the last hour: the limits of a source change.
_WINDOW = timedelta(hours=1)
_MAX_REASONS = 50
# The file in the folder of clips that a running collector locks.
COLLECTOR_LOCK = ".collector.lock"


@dataclass(frozen=True)
class RunFacts:
    """A run of the collector: start, wanted number of clips, number of candidates in the list."""

    run_id: str
    started_at: datetime
    wanted: int
    candidates: int

    def save(self, workspace: Workspace) -> None:
        """Commit to the workspace."""
        content = asdict(self) | {"started_at": self.started_at.isoformat()}
        with committed(workspace.clips / "run.json") as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, workspace: Workspace) -> RunFacts | None:
        """Return the last run's facts; None if there is none, or none that can be read."""
        try:
            content = json.loads((workspace.clips / "run.json").read_text(encoding="utf-8"))
            started = datetime.fromisoformat(content["started_at"])
            return cls(str(content["run_id"]), started, int(content["wanted"]), int(content["candidates"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class CollectStatus:
    """The state of collecting.

    Attributes:
        clips: number of clips in the roster.
        by_class: outcome → clips.
        wanted, candidates: of the last run; None if none is known.
        per_hour: clips settled an hour, over the last hour of that run.
        collected_per_hour: clips collected an hour, likewise.
        remaining_s: seconds until the wanted clips are collected or the list is exhausted, at that rate; None if
            unknown.
        at_work: process id of the collector that is at work, or None.
        reasons: why clips failed, most frequent first.
        reasons_left_out: how many reasons stand beyond those.
    """

    clips: int
    by_class: dict[str, int]
    wanted: int | None
    candidates: int | None
    per_hour: float | None
    collected_per_hour: float | None
    remaining_s: float | None
    at_work: int | None
    reasons: tuple[st.FailureReason, ...]
    reasons_left_out: int

    def as_json(self) -> Mapping[str, object]:
        """Return the fields; `clips` is called `ranks` in JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"ranks": values.pop("clips"), **values}


def describe_status(workspace: Workspace, now: datetime | None = None) -> CollectStatus:
    """Return the state of collecting; correct at any moment, also while a collector runs in another process."""
    table = st.load_status(workspace)
    facts = RunFacts.load(workspace)
    by_class = st.counts_by_class(table)
    reasons = st.failure_reasons(table)
    at_work = holder(workspace.clips, COLLECTOR_LOCK)
    # The rate of a finished collector is fixed; that of a running one is computed up to now.
    until = (now or datetime.now(UTC)) if at_work is not None else None
    settled, collected, seconds = (0, 0, 0.0) if facts is None else _recent(table, facts, until)
    known = seconds > 0 and settled > 0
    return CollectStatus(
        clips=load_roster(workspace).num_rows if workspace.roster.is_file() else 0,
        by_class=by_class,
        wanted=facts.wanted if facts else None,
        candidates=facts.candidates if facts else None,
        per_hour=round(settled * 3600 / seconds, 1) if known else None,
        collected_per_hour=round(collected * 3600 / seconds, 1) if known else None,
        remaining_s=None if facts is None else _remaining_s(facts, by_class, settled, collected, seconds),
        at_work=at_work,
        reasons=tuple(reasons[:_MAX_REASONS]),
        reasons_left_out=max(0, len(reasons) - _MAX_REASONS),
    )


def _remaining_s(
    facts: RunFacts, by_class: Mapping[str, int], settled: int, collected: int, seconds: float
) -> float | None:
    missing = max(0, facts.wanted - by_class.get(st.OK, 0))
    left = max(0, facts.candidates - sum(clips for outcome, clips in by_class.items() if outcome != st.WAITING))
    if not missing or not left:
        return 0.0
    # The list may be exhausted before the wanted clips are collected.
    return round(seconds * min(missing / collected, left / settled), 1) if collected else None


def _recent(table: pa.Table, facts: RunFacts, until: datetime | None) -> tuple[int, int, float]:
    """(clips settled, clips collected, seconds) of the last hour of a run, up to `until` or to its last row."""
    rows = table.filter(pc.equal(table["run_id"], facts.run_id))
    settled = pc.is_in(rows["status"], pa.array([st.OK, st.DEAD, st.GONE]))
    rows = rows.filter(settled)
    if not rows.num_rows:
        return 0, 0, 0.0
    ends = [
        started + timedelta(seconds=elapsed or 0.0)
        for started, elapsed in zip(rows["started_at"].to_pylist(), rows["elapsed_s"].to_pylist(), strict=True)
    ]
    # If the clock was set back, the elapsed time must not become short and the rate huge.
    until = max(ends if until is None else [*ends, until])
    since = max(facts.started_at, until - _WINDOW)
    chosen = [state == st.OK for end, state in zip(ends, rows["status"].to_pylist(), strict=True) if end > since]
    return len(chosen), sum(chosen), max(0.001, (until - since).total_seconds())
