"""Stages of fetching: sources that are asked clip by clip, and archives that are streamed. Both fetch a shard."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssat.clips import status as st
from ssat.clips.attempts import Attempts
from ssat.clips.failures import ClipFailure
from ssat.clips.lists import Candidate
from ssat.clips.rows import StatusRow
from ssat.clips.sources import Source, Stopped
from ssat.clips.sources.tar import MemberSource, TarMirror, is_url

Rows = list[StatusRow]
# A candidate's position and the rows of its attempts; None: no source of the stage has it, try the next stage.
Finished = tuple[int, Rows | None]


class ClipProgress:
    """Told of every candidate, from any thread. This one does nothing; subclasses show or count."""

    def started(self) -> None:
        """A clip is being fetched and trimmed from now on."""

    def finished(self, failure: str = "") -> None:
        """A clip that was started is done. `failure`: class and reason where it failed."""

    def skipped(self) -> None:
        """A clip is left to the next stage without being started."""


@dataclass(frozen=True)
class Work:
    """A candidate, where it stands in the order, and how often it was tried before."""

    position: int
    candidate: Candidate
    attempts: int


@dataclass(frozen=True)
class Offer:
    """The clips that a stage can fetch next.

    Attributes:
        network: whether fetching leaves this machine.
        expected: about how many of the clips it will have.
        archive: the archive that is read; None if clips are fetched one by one.
    """

    network: bool
    expected: int
    archive: str | None = None


class Stage(Protocol):
    """The sources that are tried for clips at one time, before those of the next stage.

    Attributes:
        network: whether its requests leave this machine.
        max_success: at most this share of the clips is expected to be collected: how many are asked for follows.
        batch: whether one batch of wanted clips is kept until the stage has nothing more for it.
    """

    @property
    def network(self) -> bool: ...
    @property
    def max_success(self) -> float: ...
    @property
    def batch(self) -> bool: ...

    def offer(self, clip_ids: Collection[str]) -> Offer | None:
        """Return the clips that can be fetched next; None: none, they move to the next stage."""

    def fetch(self, attempts: Attempts, work: Iterable[Work], offer: Offer, job: Job) -> list[Finished]:
        """Fetch and trim the clips of `work`.

        Raises:
            ArchiveFailure: the archive could not be read to its end.
        """

    def problems(self) -> list[tuple[str, str]]:
        """Return addresses of archives, and what is wrong with them."""


@dataclass(frozen=True)
class Job:
    """How a shard is worked through: `last` stage or not, clips at a time, folder for downloads, progress callback."""

    last: bool
    concurrent: int
    folder: Path
    progress: ClipProgress


@dataclass(frozen=True)
class DirectStage:
    """Sources that are asked clip by clip, in order."""

    sources: list[Source]
    max_success = 1.0
    batch = False

    @property
    def network(self) -> bool:
        return any(source.network for source in self.sources)

    def offer(self, clip_ids: Collection[str]) -> Offer | None:
        return Offer(self.network, len(clip_ids)) if clip_ids else None

    def fetch(self, attempts: Attempts, work: Iterable[Work], offer: Offer, job: Job) -> list[Finished]:
        return _run_direct(attempts, work, self.sources, job)

    def problems(self) -> list[tuple[str, str]]:
        return []


@dataclass(frozen=True)
class ArchiveStage:
    """Tar archives, each streamed once for all clips that are wanted."""

    mirror: TarMirror
    # Reading archives a second time for a few more clips costs more than a few clips too many.
    max_success = 0.8
    batch = True

    @property
    def network(self) -> bool:
        return any(is_url(archive) for archive in self.mirror.archives)

    def offer(self, clip_ids: Collection[str]) -> Offer | None:
        archive = self.mirror.next_archive(clip_ids)
        if archive is None:
            return None
        return Offer(is_url(archive), -(-len(clip_ids) // len(self.mirror.archives)), archive)

    def fetch(self, attempts: Attempts, work: Iterable[Work], offer: Offer, job: Job) -> list[Finished]:
        assert offer.archive is not None  # noqa: S101 - this stage offers nothing else
        return _run_archive(attempts, work, self.mirror, offer.archive, job)

    def problems(self) -> list[tuple[str, str]]:
        refused = self.mirror.index.refused.items()
        return [
            *self.mirror.problems.items(),
            *((archive, words) for archive, words in refused if archive in self.mirror.archives),
        ]


class ArchiveFailure(Exception):  # noqa: N818 - named for what happened to the archive
    """An archive could not be read to its end; `finished` are the clips that came before."""

    def __init__(self, mirror: TarMirror, archive: str, failure: ClipFailure, finished: list[Finished]) -> None:
        super().__init__(str(failure))
        self.mirror = mirror
        self.archive = archive
        self.failure = failure
        self.finished = finished


def _run_direct(attempts: Attempts, work: Iterable[Work], sources: Sequence[Source], job: Job) -> list[Finished]:
    """Try each clip at `sources`. An error is raised after the other clips have stopped."""
    finished: list[Finished] = []
    positions: dict[Future[Rows], int] = {}
    with ThreadPoolExecutor(job.concurrent, thread_name_prefix="collect") as pool:
        try:
            for work_item in work:
                if not job.last and all(source.address(work_item.candidate) is None for source in sources):
                    finished.append((work_item.position, None))
                    job.progress.skipped()
                else:
                    future = pool.submit(_collect, attempts, work_item, sources, job)
                    positions[future] = work_item.position
            pending = set(positions)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                finished.extend((positions[future], future.result()) for future in done)
        except BaseException:
            attempts.stop()
            raise
        finally:
            for future in positions:
                future.cancel()
    return finished


def _collect(attempts: Attempts, work_item: Work, sources: Sequence[Source], job: Job) -> Rows:
    job.progress.started()
    rows: Rows = []
    try:
        rows = attempts.collect(work_item.candidate, work_item.attempts, sources, job.last)
    finally:
        job.progress.finished(_failure_of(rows))
    return rows


def _failure_of(rows: Rows) -> str:
    """Return class and reason of the last of a clip's attempts; empty where it was collected or not tried."""
    if not rows or rows[-1].status == st.OK:
        return ""
    return ": ".join(filter(None, (rows[-1].error_class, rows[-1].error_message)))


def _run_archive(attempts: Attempts, work: Iterable[Work], mirror: TarMirror, archive: str, job: Job) -> list[Finished]:
    """Stream one archive: the clips of `work` that it has are written out in its order and trimmed concurrently.

    Raises:
        ArchiveFailure: it could not be read to its end.
    """
    by_id = {work_item.candidate.clip_id: work_item for work_item in work}
    positions: dict[Future[Rows], int] = {}
    # Members that are written out and not trimmed yet take space: at most twice as many as are worked on.
    room = threading.Semaphore(2 * job.concurrent)
    failure: ClipFailure | None = None

    def collect(work_item: Work, source: MemberSource) -> Rows:
        try:
            return _collect(attempts, work_item, [source], job)
        except BaseException:
            attempts.stop()  # or the stream would be read on for nothing
            raise
        finally:
            room.release()

    with ThreadPoolExecutor(job.concurrent, thread_name_prefix="collect") as pool:
        try:
            wanted = {clip_id: work_item.candidate for clip_id, work_item in by_id.items()}
            for candidate, video in mirror.clips(archive, wanted, job.folder, attempts.stopped, room.acquire):
                work_item = by_id[candidate.clip_id]
                positions[pool.submit(collect, work_item, MemberSource(archive, video))] = work_item.position
        except ClipFailure as problem:
            failure = problem
        except Stopped:
            pass
        except BaseException:
            attempts.stop()
            raise
    finished: list[Finished] = [(position, future.result()) for future, position in positions.items()]
    if failure is not None:
        raise ArchiveFailure(mirror, archive, failure, finished)
    return finished
