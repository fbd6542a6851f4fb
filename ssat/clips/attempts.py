"""Attempts at one clip: fetch, trim, note the outcome, and decide by its class what follows."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import av

from ssat.clips import status as st
from ssat.clips.breaker import Breaker
from ssat.clips.download import DownloadSettings, Pacer, Stopped, download, is_youtube, tool_version
from ssat.clips.failures import ClipFailure, FailureClass
from ssat.clips.lists import Candidate, candidate_key
from ssat.clips.settings import CollectSettings
from ssat.clips.status import StatusLog
from ssat.clips.trim import TrimmedClip, TrimSettings
from ssat.clips.trimmers import Trimmers
from ssat.workspace import Workspace


class Attempts:
    """Collects single clips, from any number of threads; stops all of them when going on makes no sense."""

    def __init__(
        self,
        workspace: Workspace,
        settings: CollectSettings,
        log: StatusLog,
        breaker: Breaker,
        run_id: str,
        downloads: Path,
        network: bool,
        one_server: bool,
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._log = log
        self._breaker = breaker
        self._run_id = run_id
        self._downloads = downloads
        self._network = network
        self._download_settings = DownloadSettings.of(settings)
        self._trim_settings = TrimSettings(
            settings.clip_seconds, settings.min_seconds, settings.short_side, settings.crf, settings.encoder_preset
        )
        self._trimmers = Trimmers(settings.workers or len(os.sched_getaffinity(0)))
        self._pacer = Pacer(settings.per_hour)
        self._tool = tool_version() if network else f"PyAV {av.__version__}"
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._one_server = one_server
        # A local file reads the same the second time.
        self._attempts_at = {FailureClass.NET: settings.net_attempts, FailureClass.MEDIA: 2 if network else 1}
        self._undecided: list[dict[str, Any]] = []
        self._stop_reason = ""

    def stop(self) -> None:
        """Break off what is running as soon as possible."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and end the trimming processes."""
        self.stop()
        self._trimmers.close()

    def stop_reason(self) -> str:
        """Why clips were passed over; empty when none was."""
        return self._stop_reason or (self._breaker.pause() if self._network else "")

    def collect(self, candidate: Candidate, attempts_before: int) -> list[dict[str, Any]]:
        """Try a clip until it is collected or given up; the rows of this run's attempts, in order.

        All but the last are in the log; the last one's status may still change until `decide` is called. No row at all:
        the collector stopped before this clip's turn. Raises OSError for faults of this machine.
        """
        rows: list[dict[str, Any]] = []
        counts: Counter[FailureClass] = Counter()
        folder = self._downloads / candidate_key(0, candidate.clip_id).hex()[:24]
        try:
            while not self._has_to_stop():
                row = self._row(candidate, attempts_before + len(rows) + 1)
                started = time.monotonic()
                try:
                    row |= self._fetch_and_trim(candidate, folder)
                except Stopped:
                    break
                except ClipFailure as failure:
                    counts[failure.failure_class] += 1
                    row |= self._consequence(failure, counts)
                    if failure.failure_class is FailureClass.RATE:
                        row["attempt"] -= 1
                row["elapsed_s"] = round(time.monotonic() - started, 3)
                rows.append(row)
                self._note(row)
                if row["status"] != st.FAILED:
                    break
                if row["error_class"] == FailureClass.MEDIA:
                    shutil.rmtree(folder, ignore_errors=True)
                elif self._settings.backoff_seconds:
                    # Jittered: clips that failed together do not come back together.
                    mean = self._settings.backoff_seconds * 2 ** (counts.total() - 1)
                    self._stop.wait(mean * random.uniform(0.5, 1.5))  # noqa: S311
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return rows

    def decide(self) -> None:
        """Give up the clips that failed for the server's or the tool's sake while others showed that both work.

        Called when a shard is through. Did the collector stop instead, those clips are waiting, not dead.
        """
        with self._lock:
            self._decide(st.WAITING if self._stop_reason else st.DEAD)

    def _decide(self, state: str) -> None:
        for row in self._undecided:
            row["status"] = state
            self._log.append(row)
        self._undecided.clear()

    def _has_to_stop(self) -> bool:
        return self._stop.is_set() or bool(self._stop_reason) or (self._network and bool(self._breaker.pause()))

    def _row(self, candidate: Candidate, attempt: int) -> dict[str, Any]:
        return {
            "clip_id": candidate.clip_id,
            "source": candidate.locator,
            "start_s": candidate.start_s,
            "end_s": candidate.end_s,
            "attempt": attempt,
            "tool_version": self._tool,
            "started_at": st.now(),
            "run_id": self._run_id,
            "error_class": None,
        }

    def _fetch_and_trim(self, candidate: Candidate, folder: Path) -> dict[str, Any]:
        video = Path(candidate.locator)
        if self._network:
            if is_youtube(candidate.locator):
                self._pacer.wait(self._stop)
            video = download(candidate.locator, folder, self._download_settings, self._stop.is_set)
        # Two hexadecimal digits make 256 folders: 2,000 files in each at 500,000 clips.
        target = (
            self._workspace.clips
            / "trimmed"
            / candidate_key(0, candidate.clip_id).hex()[:2]
            / f"{candidate.clip_id}.mp4"
        )
        try:
            clip: TrimmedClip = self._trimmers.trim(
                video, target, self._trim_settings, candidate.start_s, candidate.end_s
            )
        except BrokenProcessPool:
            raise ClipFailure(FailureClass.MEDIA, "the decoder crashed on this file") from None
        return {
            "status": st.OK,
            "width": clip.width,
            "height": clip.height,
            "fps": clip.fps,
            "n_frames": clip.n_frames,
            "duration_s": clip.duration_s,
            "bytes": clip.bytes,
            "sha256": clip.sha256,
            "path": self._workspace.relative(target),
        }

    def _consequence(self, failure: ClipFailure, counts: Counter[FailureClass]) -> dict[str, Any]:
        """What the table of failure classes says."""
        found = failure.failure_class
        state = st.DEAD
        if found is FailureClass.GONE:
            state = st.GONE
        elif found is FailureClass.RATE:
            self._breaker.open(max(self._settings.rate_pause_seconds, failure.retry_after_s or 0), failure.message)
            state = st.WAITING
        elif counts[found] < self._attempts_at.get(found, 1):
            state = st.FAILED
        return {
            "status": state,
            "error_class": found.value,
            "error_message": failure.message,
            "http_status": failure.http_status,
        }

    def _note(self, row: dict[str, Any]) -> None:
        """Write a row to the log, at once or, where it depends on what becomes of the others, when that is known."""
        with self._lock:
            found = row["error_class"]
            if row["status"] == st.DEAD and found in (FailureClass.NET, FailureClass.TOOL):
                self._undecided.append(row)
                alike = [other for other in self._undecided if other["error_class"] == found]
                # Where a list names many servers, one that fails says nothing about the others.
                if self._one_server and len(alike) >= self._settings.stop_after:
                    self._stop_reason = self._explain(row, len(alike))
                    self._decide(st.WAITING)
                return
            self._log.append(row)
            # The server answered and the tool understood: whoever failed before failed for a reason of its own.
            works = row["status"] in (st.OK, st.GONE) or found == FailureClass.MEDIA
            if works and self._undecided and not self._stop_reason:
                self._decide(st.DEAD)

    def _explain(self, row: dict[str, Any], count: int) -> str:
        hint = (
            "look at the network and the server"
            if row["error_class"] == FailureClass.NET
            else f"update or repair the downloader ({self._tool}), its JavaScript runtime, cookies or proxy"
        )
        return (
            f"stopped: {count} clips failed alike and none succeeded ({row['error_class']}: {row['error_message']}); "
            f"{hint}, then run again"
        )
