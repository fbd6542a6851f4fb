"""Attempts at one clip: fetch, trim, record the outcome, and choose the next step by its class."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from ssat.clips import status as st
from ssat.clips.egress import Egress
from ssat.clips.failures import ClipFailure, FailureClass
from ssat.clips.lists import Candidate, candidate_key
from ssat.clips.rows import StatusRow
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Source, Stopped
from ssat.clips.status import StatusLog
from ssat.clips.trim import TrimmedClip, TrimSettings
from ssat.clips.trimmers import Trimmers
from ssat.file_names import TRIMMED
from ssat.redaction import without_credentials
from ssat.workspace import Workspace


class Attempts:
    """Collector of single clips, from any number of threads; stops all of them if continuing makes no sense."""

    def __init__(
        self,
        workspace: Workspace,
        settings: CollectSettings,
        log: StatusLog,
        egress: Egress,
        run_id: str,
        downloads: Path,
        one_server: bool,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._log = log
        self._egress = egress
        self._run_id = run_id
        self._downloads = downloads
        self._trim_settings = TrimSettings(
            settings.clip_seconds, settings.min_seconds, settings.short_side, settings.crf, settings.encoder_preset
        )
        self._trimmers = Trimmers(settings.workers or len(os.sched_getaffinity(0)))
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._one_server = one_server
        self._undecided: list[StatusRow] = []
        self._decided: dict[str, StatusRow] = {}
        self._stop_reason = ""

    def stop(self) -> None:
        """Cancel running attempts as soon as possible."""
        self.stopped.set()

    def close(self) -> None:
        """Stop, and end the trimming processes."""
        self.stop()
        self._trimmers.close()

    def stop_reason(self) -> str:
        """Return why clips were passed over; empty when none was, or only because of the egress's pause."""
        return self._stop_reason

    def collect(
        self, candidate: Candidate, attempts_before: int, sources: Sequence[Source], last: bool = True
    ) -> list[StatusRow]:
        """Try a clip at `sources`, in order, until one has it; the rows of this run's attempts, in order.

        The clip is given up only where `last` says that there are no other sources. All but the last row are in the
        log; the last one's status may still change until `decide` is called, and `decided` knows it. No row at all: the
        collector stopped before this clip's turn. Raises OSError for faults of this machine.
        """
        rows: list[StatusRow] = []
        found: list[FailureClass] = []
        folder = self._downloads / candidate_key(0, candidate.clip_id).hex()[:24]
        offers = [(source, address) for source in sources if (address := source.address(candidate)) is not None]
        try:
            for number, (source, address) in enumerate(offers):
                is_last = last and number == len(offers) - 1
                before = attempts_before + len(rows)
                done = self._at_source(candidate, source, address, folder, before, is_last, found)
                rows += done
                if not done or rows[-1].status != st.FAILED:
                    break
            if not offers and last and not self._has_to_stop(None):
                rows.append(self.absent(candidate, attempts_before))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return rows

    def absent(self, candidate: Candidate, attempts_before: int) -> StatusRow:
        """Return the row, written to the log, of a clip that no source has: given up, until it is asked for again."""
        row = replace(
            self._begun(candidate, attempts_before + 1, "", ""),
            status=st.DEAD,
            error_class=FailureClass.GONE.value,
            error_message="no source has it",
            elapsed_s=0.0,
        )
        self._log.append(row)
        return row

    def _at_source(
        self,
        candidate: Candidate,
        source: Source,
        address: str,
        folder: Path,
        before: int,
        last: bool,
        found: list[FailureClass],
    ) -> list[StatusRow]:
        """Try one source. After a last row of status "failed" the next source is tried."""
        rows: list[StatusRow] = []
        counts: Counter[FailureClass] = Counter()
        # Reading a local file again gives the same bytes.
        most = {FailureClass.NET: self._settings.network_attempts, FailureClass.MEDIA: 2 if source.network else 1}
        while not self._has_to_stop(source):
            row = self._begun(candidate, before + len(rows) + 1, address, source.tool)
            started = time.monotonic()
            again = False
            try:
                row = self._fetched_and_trimmed(row, candidate, source, folder)
            except Stopped:
                break
            except ClipFailure as failure:
                kind = failure.failure_class
                counts[kind] += 1
                again = counts[kind] < most.get(kind, 1)
                row = self._failed(row, failure, again or not last, found)
            row = replace(row, elapsed_s=round(time.monotonic() - started, 3))
            rows.append(row)
            self._note(row)
            if not again or row.status != st.FAILED:
                break
            if row.error_class == FailureClass.MEDIA:
                shutil.rmtree(folder, ignore_errors=True)
            elif self._settings.backoff_seconds:
                # Jittered, so that clips that failed together are not retried together.
                mean = self._settings.backoff_seconds * 2 ** (counts.total() - 1)
                self.stopped.wait(mean * random.uniform(0.5, 1.5))  # noqa: S311
        if rows and (error_class := rows[-1].error_class):
            found.append(FailureClass(error_class))
        return rows

    def decide(self) -> None:
        """Give up the clips that failed for the server's or the tool's sake while others showed that both work.

        Called when a shard is through. Did the collector stop instead, those clips are waiting, not dead.
        """
        with self._lock:
            self._decide(st.WAITING if self._stop_reason else st.DEAD)

    def decided(self, row: StatusRow) -> StatusRow:
        """Return the row as it stands in the log, of one that `collect` gave; after `decide`, once for each clip."""
        return self._decided.pop(row.clip_id, row)

    def _decide(self, state: str) -> None:
        for undecided in self._undecided:
            row = replace(undecided, status=state)
            self._log.append(row)
            self._decided[row.clip_id] = row
        self._undecided.clear()

    def _has_to_stop(self, source: Source | None) -> bool:
        paused = source is not None and source.network and self._egress.pause_s() > 0
        return self.stopped.is_set() or bool(self._stop_reason) or paused

    def _begun(self, candidate: Candidate, attempt: int, address: str, tool: str) -> StatusRow:
        """Return the row of an attempt that has begun and stands as failed until its outcome is known."""
        return StatusRow(
            clip_id=candidate.clip_id,
            source=without_credentials(address),
            start_s=candidate.start_s,
            end_s=candidate.end_s,
            attempt=attempt,
            status=st.FAILED,
            tool_version=tool,
            started_at=st.now(),
            run_id=self._run_id,
        )

    def _fetched_and_trimmed(self, row: StatusRow, candidate: Candidate, source: Source, folder: Path) -> StatusRow:
        video = source.fetch(candidate, folder, self.stopped)
        # Two hexadecimal digits make 256 folders: 2,000 files in each at 500,000 clips.
        target = (
            self._workspace.clips / TRIMMED / candidate_key(0, candidate.clip_id).hex()[:2] / f"{candidate.clip_id}.mp4"
        )
        try:
            clip: TrimmedClip = self._trimmers.trim(video.path, target, self._trim_settings, video.start_s, video.end_s)
        except BrokenProcessPool:
            raise ClipFailure(FailureClass.MEDIA, "the decoder crashed on this file") from None
        return replace(
            row,
            status=st.OK,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            n_frames=clip.n_frames,
            duration_s=clip.duration_s,
            bytes=clip.bytes,
            sha256=clip.sha256,
            path=self._workspace.relative(target),
            error_message=f"{clip.dropped} pictures left out: their times go back" if clip.dropped else None,
        )

    def _failed(self, row: StatusRow, failure: ClipFailure, goes_on: bool, found: Sequence[FailureClass]) -> StatusRow:
        """Return the consequence of a failure class. `goes_on`: another attempt, or another source, follows.

        `found`: how earlier sources failed. A clip is gone for ever only where all of them say so.
        """
        kind = failure.failure_class
        state = st.FAILED if goes_on else st.DEAD
        if kind is FailureClass.GONE and not goes_on and all(other is FailureClass.GONE for other in found):
            state = st.GONE
        elif kind is FailureClass.RATE:
            self._egress.open(max(self._settings.rate_limit_pause_seconds, failure.retry_after_s or 0), failure.message)
            state = st.WAITING
        return replace(
            row,
            attempt=row.attempt - (kind is FailureClass.RATE),  # a rate limit costs no attempt
            status=state,
            error_class=kind.value,
            error_message=failure.message,
            http_status=failure.http_status,
        )

    def _note(self, row: StatusRow) -> None:
        """Write a row to the log, at once or, where it depends on the outcome of the others, when that is known."""
        with self._lock:
            found = row.error_class
            if row.status == st.DEAD and found in (FailureClass.NET, FailureClass.TOOL):
                self._undecided.append(row)
                alike = [other for other in self._undecided if other.error_class == found]
                # In a list of many servers the failure of one does not concern the others.
                if self._one_server and len(alike) >= self._settings.max_similar_failures:
                    self._stop_reason = self._explain(row, len(alike))
                    self._decide(st.WAITING)
                return
            self._log.append(row)
            # The server answered and the tool understood: earlier failures had reasons of their own.
            works = row.status in (st.OK, st.GONE) or found == FailureClass.MEDIA
            if works and self._undecided and not self._stop_reason:
                self._decide(st.DEAD)

    def _explain(self, row: StatusRow, count: int) -> str:
        hint = (
            "look at the network and the server"
            if row.error_class == FailureClass.NET
            else f"update or repair the downloader ({row.tool_version}), its JavaScript runtime, cookies or proxy"
        )
        return (
            f"stopped: {count} clips failed alike and none succeeded ({row.error_class}: {row.error_message}); "
            f"{hint}, then run again"
        )
