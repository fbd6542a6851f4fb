"""One Prefect task run for each shard of candidates, with progress and a table of outcomes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from ssat.clips.collected import CollectResult
from ssat.clips.collector import Collector, Shard, ShardOutcome
from ssat.clips.lists import describe_rejected
from ssat.clips.settings import CollectSettings
from ssat.clips.stages import ClipProgress
from ssat.clips.status import OK
from ssat.redaction import without_credentials
from ssat.workspace import Workspace
from tasks.egress import PrefectEgress
from tasks.halt import halted, note_outcomes
from tasks.metrics import ATTEMPTED_CLIPS, COLLECTED_CLIPS, FAILURES, count, counted
from tasks.notify import notify
from tasks.progress import Bar, progress_bar
from tasks.progress_artifact import progress_artifact

TELL_EVERY_S = 5.0


def collect_clips(workspace: Workspace, settings: CollectSettings) -> CollectResult:
    """Collect until the wanted clips are in the roster, the list is exhausted, or going on makes no sense.

    Shards run one after the other: class ids go in candidate order, and the number of further candidates is known
    only when the last shard is finished. Inside a shard clips are fetched and trimmed concurrently.

    Raises:
        InputError: the list cannot be used, or the workspace was collected with other settings.
        WorkspaceError: the workspace cannot be written, or another collector is at work in it.
        ServiceError: Prefect does not give the rate limit of the egress.
    """
    with counted(), Collector(workspace, settings, PrefectEgress(workspace, settings)) as collector:
        while not (reason := halted()) and (shard := collector.next_shard()):
            name = f"clips {shard.positions[0]}-{shard.positions[-1]}"
            if shard.archive:
                name = f"clips of {without_credentials(shard.archive).rpartition('/')[2]}"
            # Quoted: Prefect would look through the collector for futures.
            outcome = collect_shard.with_options(task_run_name=name)(cast(Collector, quote(collector)), shard)
            note_outcomes(outcome.by_class)
        result = collector.result()
        result = replace(result, stopped=reason or result.stopped)
        rejected = describe_rejected(collector.list)
    report_clips(result, rejected)
    if result.pause_s:
        notify("breaker-open", f"collecting pauses: {result.stopped}", seconds=result.pause_s)
    return result


@task(name="collect-shard", persist_result=False, cache_policy=NO_CACHE)
def collect_shard(collector: Collector, shard: Shard) -> ShardOutcome:
    """Work through one shard."""
    # The number of wanted clips in an archive is known only at its end.
    total = None if shard.archive else len(shard.positions)
    with (
        progress_bar(f"clips, shard {shard.number}", total) as bar,
        progress_artifact(bar, "clips-progress"),
        _shared_progress(collector) as tell,
    ):
        bar.in_flight(0)
        outcome = collector.run_shard(shard, _Shown(bar, tell))
    for kind, clips in outcome.by_class.items():
        if kind == OK:
            count(COLLECTED_CLIPS, clips)
        else:
            count(FAILURES, clips, stage="collect", kind=kind)
    return outcome


class _Shown(ClipProgress):
    """The clips of a shard on the progress bar, in the counters and in the share of the ranks."""

    def __init__(self, bar: Bar, tell: Callable[[int], None]) -> None:
        self._bar, self._tell = bar, tell

    def started(self) -> None:
        self._bar.started()

    def finished(self, failure: str = "") -> None:
        self._bar.ended()
        if failure:
            self._bar.failed(failure)
        self.skipped()

    def skipped(self) -> None:
        self._bar()
        count(ATTEMPTED_CLIPS, 1)
        self._tell(1)


@contextmanager
def _shared_progress(collector: Collector) -> Iterator[Callable[[int], None]]:
    """Update a progress artifact of the wanted clips: at the start, every few seconds, and at the end.

    Class ids are assigned when a shard is finished. Until then its finished candidates are counted, so the share can
    fall a little.
    """
    wanted = collector.settings.clips

    def percent(clips: int) -> float:
        return 100 * min(1.0, clips / wanted)

    before = collector.roster.num_rows
    # Called outside a running event loop, it gives the id itself.
    artifact = cast(
        UUID, create_progress_artifact(percent(before), key="clips-ranks", description=f"of {wanted} clips")
    )
    lock = threading.Lock()
    done, told_at = 0, time.monotonic()

    def tell(clips: int) -> None:
        nonlocal done, told_at
        with lock:
            done += clips
            if time.monotonic() - told_at < TELL_EVERY_S:
                return
            told_at = time.monotonic()
        with contextlib.suppress(Exception):  # a slow server must not lose the clips
            update_progress_artifact(artifact, percent(before + done))

    yield tell
    clips = collector.roster.num_rows
    update_progress_artifact(artifact, percent(clips), description=f"{clips} of {wanted} clips")


def report_clips(result: CollectResult, rejected: list[str]) -> None:
    """Create the Prefect artifact of the result."""
    create_table_artifact(
        key="clips",
        table=[{"outcome": name, "clips": count} for name, count in result.by_class.items()],
        description="\n\n".join(
            [
                f"{result.clips} of {result.wanted} clips in {result.seconds:.0f} s; "
                f"{result.attempted} clips attempted, {result.left} of {result.candidates} candidates left",
                *filter(None, [result.stopped]),
                *(f"{archive.archive}: {archive.problem}" for archive in result.archives),
                *rejected,
            ]
        ),
    )
