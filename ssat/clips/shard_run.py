"""Working through a shard: clips beside each other, each with its attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssat.clips.attempts import Attempts
from ssat.clips.failures import ClipFailure
from ssat.clips.lists import Candidate
from ssat.clips.sources import Source, Stopped
from ssat.clips.sources.tar import MemberSource, TarMirror

Rows = list[dict[str, Any]]
# A candidate's position and the rows of its attempts; None: no source of the stage has it, others are to be asked.
Finished = tuple[int, Rows | None]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Work:
    """A candidate, where it stands in the order, and how often it was tried before."""

    position: int
    candidate: Candidate
    attempts: int


class ArchiveFailure(Exception):  # noqa: N818 - named for what happened to the archive
    """An archive could not be read to its end; `finished` are the clips that came before."""

    def __init__(self, failure: ClipFailure, finished: list[Finished]) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.finished = finished


def run_direct(
    attempts: Attempts, work: Iterable[Work], sources: Sequence[Source], last: bool, beside: int, progress: Progress
) -> list[Finished]:
    """Try each clip at `sources`, `beside` clips at a time. What one raises is raised when the others have stopped."""
    finished: list[Finished] = []
    jobs: dict[Future[Rows], int] = {}
    with ThreadPoolExecutor(beside, thread_name_prefix="collect") as pool:
        try:
            for one in work:
                if not last and all(source.address(one.candidate) is None for source in sources):
                    finished.append((one.position, None))
                    progress(1)
                else:
                    job = pool.submit(attempts.collect, one.candidate, one.attempts, sources, last)
                    jobs[job] = one.position
            pending = set(jobs)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for job in done:
                    finished.append((jobs[job], job.result()))
                    progress(1)
        except BaseException:
            attempts.stop()
            raise
        finally:
            for job in jobs:
                job.cancel()
    return finished


def run_archive(
    attempts: Attempts,
    work: Iterable[Work],
    mirror: TarMirror,
    archive: str,
    last: bool,
    beside: int,
    folder: Path,
    progress: Progress,
) -> list[Finished]:
    """Stream one archive: the clips of `work` that it has are written out in its order and trimmed side by side.

    Raises:
        ArchiveFailure: it could not be read to its end.
    """
    by_id = {one.candidate.clip_id: one for one in work}
    jobs: dict[Future[Rows], int] = {}
    # Members that are written out and not trimmed yet take space: at most twice as many as are worked on.
    room = threading.Semaphore(2 * beside)
    failure: ClipFailure | None = None

    def collect(one: Work, source: MemberSource) -> Rows:
        try:
            return attempts.collect(one.candidate, one.attempts, [source], last)
        except BaseException:
            attempts.stop()  # or the stream would be read on for nothing
            raise
        finally:
            room.release()
            progress(1)

    def make_room() -> None:
        room.acquire()

    with ThreadPoolExecutor(beside, thread_name_prefix="collect") as pool:
        try:
            wanted = {clip_id: one.candidate for clip_id, one in by_id.items()}
            for candidate, video in mirror.clips(archive, wanted, folder, attempts.stopped, make_room):
                one = by_id[candidate.clip_id]
                jobs[pool.submit(collect, one, MemberSource(archive, video))] = one.position
        except ClipFailure as problem:
            failure = problem
        except Stopped:
            pass
        except BaseException:
            attempts.stop()
            raise
    finished: list[Finished] = [(position, job.result()) for job, position in jobs.items()]
    if failure is not None:
        raise ArchiveFailure(failure, finished)
    return finished
