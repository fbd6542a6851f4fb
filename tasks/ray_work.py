"""Many pieces of work on Ray, a bounded number in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ssat.errors import ServiceError, SsatError, WorkspaceError
from tasks.halt import terminable

Job = TypeVar("Job")

_POLL_S = 0.5
# Many: a worker may be lost to a preempted machine, to memory, or to a clip that crashes its decoder, which the
# frame store detects after three crashes.
_MAX_RETRIES = 9


@dataclass(frozen=True)
class Share:
    """Division of a cluster: `threads` and `memory` (bytes) for each piece of work, `in_flight` pieces at a time."""

    threads: int
    in_flight: int
    memory: int = 0


def share_cluster(pieces: int, most_threads: int = 0, memory: Callable[[int], int] = lambda threads: 0) -> Share:
    """Divide the CPUs of the connected Ray cluster among `pieces` of work.

    One thread for each piece where there are many; with fewer pieces than CPUs, each gets more of them, as many as a
    machine has. `most_threads` bounds the threads of all pieces together; 0 does not. `memory` states the bytes that a
    piece with so many threads takes: Ray places no more of them on a node than fit.
    """
    import ray

    cpus = int(ray.cluster_resources().get("CPU", 1))
    machine = max((int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["Alive"]), default=1)
    if most_threads:
        cpus, machine = min(cpus, most_threads), min(machine, most_threads)
    threads = max(1, min(machine, cpus // max(1, pieces)))
    # A job that fits on no node would never start: give it fewer threads, then the memory of the largest node.
    largest = max((int(node["Resources"].get("memory", 0)) for node in ray.nodes() if node["Alive"]), default=0)
    while threads > 1 and memory(threads) > largest:
        threads -= 1
    return Share(threads, max(1, cpus // threads), min(memory(threads), largest))


def run_bounded(
    function: Callable[..., Any],
    jobs: Sequence[Job],
    share: Share,
    on_poll: Callable[[Sequence[Job]], None] | None = None,
) -> Iterator[tuple[Job, Any]]:
    """`function(job, threads)` of each job on Ray: (job, result) as they finish.

    `on_poll` is called about twice a second with the jobs in flight. A worker that dies is replaced and its job tried
    again; an error that `function` raises ends the work, and the other jobs in flight are cancelled.

    Raises:
        SsatError: what `function` raised, or WorkspaceError for an OSError of it.
        ServiceError: a job's workers died again and again.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    remote = ray.remote(num_cpus=share.threads, memory=share.memory, max_retries=_MAX_RETRIES)(function)
    waiting = list(reversed(jobs))
    running: dict[Any, Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < share.in_flight:
                job = waiting.pop()
                running[remote.remote(job, share.threads)] = job
            with terminable():
                done, _ = ray.wait(list(running), num_returns=1, timeout=_POLL_S)
            if on_poll is not None:
                on_poll(list(running.values()))
            for reference in done:
                yield running.pop(reference), ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SsatError):
            raise cause from error
        if isinstance(cause, OSError):
            raise WorkspaceError(f"a worker could not read or write: {cause}; free space, then run again") from error
        raise
    except RayError as error:
        raise ServiceError(
            f"Ray: the workers of a piece of work died {_MAX_RETRIES + 1} times ({type(error).__name__}); what is "
            "finished is kept: see to the machine's memory, then run again"
        ) from error
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
