"""The collector: plans shards of candidates, works through them, and gives ranks in candidate order."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from ssat.clips import status as st
from ssat.clips.attempts import Attempts
from ssat.clips.breaker import Breaker
from ssat.clips.download import tool_version
from ssat.clips.failures import FailureClass
from ssat.clips.history import History
from ssat.clips.lists import Candidate, ClipList, read_list
from ssat.clips.lock import locked
from ssat.clips.roster import ROSTER_SCHEMA, appended, load_roster, replaced, roster_facts, roster_path, save_roster
from ssat.clips.settings import CollectSettings
from ssat.clips.status import StatusLog
from ssat.errors import InputError, WorkspaceError
from ssat.workspace import Workspace

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Shard:
    """Candidates that one task run works through: positions in the candidate order."""

    number: int
    positions: tuple[int, ...]


@dataclass
class ShardOutcome:
    """What a shard came to."""

    attempted: int = 0
    collected: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    stopped: str = ""


class Collector:
    """Collects clips into one workspace. A context manager: it holds the workspace's collector lock while it is open.

    Candidates are settled once they are collected or given up. Ranks go to collected clips in candidate order, up to
    the first candidate that is not settled, so they do not depend on how many downloads ran at the same time.
    """

    def __init__(self, workspace: Workspace, settings: CollectSettings) -> None:
        if not settings.source:
            raise InputError(
                "collect: no source given; name a Kinetics CSV, a text file of URLs or a folder of videos with --source"
            )
        self.workspace = workspace
        self.settings = settings
        self.run_id = uuid.uuid4().hex[:12]
        self.list: ClipList = read_list(
            settings.source, url_template=settings.url_template, min_seconds=settings.min_seconds
        )
        self.candidates: list[Candidate] = self.list.ordered(settings.seed)
        self.breaker = Breaker(workspace.clips / "breaker.json")
        self.stopped = ""
        self._network = self.list.kind != "folder"
        self._shards = self._attempted = self._collected = 0
        self._frontier = 0
        self._passed_over: set[int] = set()
        self._repaired: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._lock_file = locked(self.workspace.clips)
        try:
            self._open()
        except BaseException:
            self._lock_file.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self._attempts.close()
            self._log.commit()
            shutil.rmtree(self._downloads, ignore_errors=True)
        finally:
            self._lock_file.close()

    def _open(self) -> None:
        clips = self.workspace.clips
        self._facts = {
            name: str(getattr(self.settings, name))
            for name in ("seed", "clip_seconds", "min_seconds", "short_side", "crf", "encoder_preset")
        }
        self.roster = ROSTER_SCHEMA.empty_table()
        if roster_path(self.workspace).is_file():
            self.roster = load_roster(self.workspace)
            self._check_same_facts(roster_facts(self.roster))
        self._ranked: set[str] = set(self.roster["clip_id"].to_pylist())
        self._contents: dict[str, str] = dict(
            zip(self.roster["sha256"].to_pylist(), self.roster["clip_id"].to_pylist(), strict=True)
        )
        self._downloads = clips / "downloads"
        # What a killed collector left half.
        shutil.rmtree(self._downloads, ignore_errors=True)
        for path in clips.glob("trimmed/*/.*.partial.mp4"):
            path.unlink(missing_ok=True)
        self._log = StatusLog(self.workspace)
        tool = tool_version() if self._network else ""
        self._history = History(self.workspace, self.candidates, tool=tool, retry_dead=self.settings.retry_dead)
        self._attempts = Attempts(
            self.workspace,
            self.settings,
            self._log,
            self.breaker,
            self.run_id,
            self._downloads,
            network=self._network,
            one_server=len({urlsplit(candidate.locator).netloc for candidate in self.candidates}) == 1,
        )
        self._give_ranks()

    def _check_same_facts(self, facts: dict[str, str]) -> None:
        for name, value in self._facts.items():
            if facts.get(name, value) != value:
                raise InputError(
                    f"workspace {self.workspace.root}: its clips were collected with {name} = {facts[name]}, "
                    f"now {value} is asked; ranks would mean something else. Set {name} back, or use another workspace"
                )

    def next_shard(self) -> Shard | None:
        """The next candidates to work through; None when there are ranks enough, or nothing can be done now."""
        if self._network and (pause := self.breaker.pause()):
            self.stopped = self.stopped or pause
        if self.stopped:
            return None
        expected = float(len(self._ranked))
        success = max(0.25, self._collected / self._attempted) if self._attempted else 1.0
        positions: list[int] = []
        for position in range(self._frontier, len(self.candidates)):
            if len(positions) == self.settings.shard_size:
                break
            candidate = self.candidates[position]
            ranked = candidate.clip_id in self._ranked
            if not ranked and expected >= self.settings.clips:
                continue  # a ranked clip whose file was lost is collected again even where no new rank is wanted
            if self._history.settled(candidate.clip_id):
                # Collected, and waiting for its rank behind a candidate that is not settled.
                expected += int(not ranked and self._history.collected(candidate.clip_id) is not None)
            elif position not in self._passed_over:
                positions.append(position)
                expected += 0 if ranked else success
        if not positions:
            return None
        self._shards += 1
        return Shard(self._shards, tuple(positions))

    def run_shard(self, shard: Shard, progress: Progress = lambda _: None) -> ShardOutcome:
        """Work through a shard, `downloads` clips at a time. `progress` is told of each finished candidate.

        Raises:
            WorkspaceError: the disk is full or not writable; what was finished is kept.
        """
        outcome = ShardOutcome()
        started = time.monotonic()
        jobs: dict[Future[list[dict[str, Any]]], int] = {}
        finished: list[tuple[int, list[dict[str, Any]]]] = []
        with ThreadPoolExecutor(self.settings.downloads, thread_name_prefix="collect") as pool:
            try:
                for position in shard.positions:
                    candidate = self.candidates[position]
                    before = self._history.attempts(candidate.clip_id)
                    jobs[pool.submit(self._attempts.collect, candidate, before)] = position
                pending = set(jobs)
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for job in done:
                        finished.append((jobs[job], job.result()))
                        progress(1)
            except OSError as error:
                self._attempts.stop()
                raise WorkspaceError(
                    f"workspace {self.workspace.root}: collecting stopped: {error.strerror or error}; finished clips "
                    "are kept, run `ssat collect` again when it is put right"
                ) from error
            except BaseException:
                self._attempts.stop()
                raise
            finally:
                for job in jobs:
                    job.cancel()
        self._attempts.decide()
        for position, rows in finished:
            self._take(position, rows, outcome)
        self._log.commit()
        self._give_ranks()
        outcome.stopped = self._attempts.stop_reason()
        self.stopped = self.stopped or outcome.stopped
        outcome.seconds = round(time.monotonic() - started, 3)
        self._attempted += outcome.attempted
        self._collected += outcome.collected
        return outcome

    def _take(self, position: int, rows: Sequence[dict[str, Any]], outcome: ShardOutcome) -> None:
        """Note the rows of one candidate's attempts; none where the collector stopped before its turn."""
        if not rows:
            self._passed_over.add(position)
            return
        row = rows[-1]
        if row["status"] == st.OK and row["clip_id"] in self._ranked:
            self._repaired.append(row)
        self._history.note(row)
        if row["status"] == st.WAITING:
            self._passed_over.add(position)
        outcome.attempted += 1
        outcome.collected += row["status"] == st.OK
        found = row["error_class"] or st.OK
        outcome.by_class[found] = outcome.by_class.get(found, 0) + 1

    def _give_ranks(self) -> None:
        """Append every collected clip before the first unsettled candidate to the roster, up to the ranks wanted."""
        rows: list[dict[str, Any]] = []
        before = self.roster
        self.roster = replaced(self.roster, self._repaired)
        self._repaired.clear()
        while self._frontier < len(self.candidates):
            candidate = self.candidates[self._frontier]
            if not self._history.settled(candidate.clip_id):
                break
            row = self._history.collected(candidate.clip_id)
            if row is not None and candidate.clip_id not in self._ranked:
                if len(self._ranked) >= self.settings.clips:
                    break
                twin = self._contents.get(row["sha256"])
                if twin is not None:
                    self._reject_twin(row, twin)
                else:
                    rows.append(row)
                    self._ranked.add(candidate.clip_id)
                    self._contents[row["sha256"]] = candidate.clip_id
            self._frontier += 1
        self.roster = appended(self.roster, rows)
        if not self.roster.equals(before):
            save_roster(self.workspace, self.roster, self._facts)

    def _reject_twin(self, row: dict[str, Any], twin: str) -> None:
        """Two classes with the same pictures cannot be told apart: the later candidate is given up."""
        dead = row | {
            "attempt": row["attempt"] + 1,
            "status": st.DEAD,
            "error_class": FailureClass.MEDIA.value,
            "error_message": f"the same content as clip {twin}",
            "started_at": st.now(),
            "run_id": self.run_id,
        }
        self._log.append(dead)
        self._history.note(dead)
        self.workspace.absolute(row["path"]).unlink(missing_ok=True)

    def result(self) -> dict[str, Any]:
        """What this run did and what the workspace holds now; can be written as JSON."""
        wanted = self.settings.clips
        return {
            "source": str(self.settings.source),
            "ranks": self.roster.num_rows,
            "wanted": wanted,
            "attempted": self._attempted,
            "collected": self._collected,
            "candidates": len(self.candidates),
            "left": sum(not self._history.settled(candidate.clip_id) for candidate in self.candidates),
            "by_class": self._history.counts(candidate.clip_id for candidate in self.candidates),
            "rejected": len(self.list.rejected),
            "rejected_rows": [vars(row) for row in self.list.rejected[:20]],
            "stopped": self.stopped,
            "seconds": round(time.monotonic() - self._started, 2),
            "run_id": self.run_id,
            "roster": self.workspace.relative(roster_path(self.workspace)),
        }
