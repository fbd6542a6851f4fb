"""Find the original error inside the wrappers of Prefect, Ray and Ray Train."""

from __future__ import annotations

from collections.abc import Iterator

from ssat.errors import SsatError


def unwrap(error: BaseException) -> SsatError | None:
    """Return the first SsatError among `error` and what it carries, or None if it was caused by something else.

    Ray keeps the exception of a task in `.cause`; Ray Train those of its workers in `.worker_failures` by rank, or one
    of its controller in `.controller_failure`; an exception group its members; Python itself `__cause__`.
    """
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, SsatError):
            return _plain(current)
        waiting.extend(_carried(current))
    return None


def _carried(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions
    for name in ("cause", "controller_failure", "__cause__"):
        inner = getattr(error, name, None)
        if isinstance(inner, BaseException):
            yield inner
    failures = getattr(error, "worker_failures", None)
    if isinstance(failures, dict):
        yield from (failures[rank] for rank in sorted(failures) if isinstance(failures[rank], BaseException))
    if error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__


def _plain(error: SsatError) -> SsatError:
    """Return the original error: Ray's class, RayTaskError and original in one, prints a traceback."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, SsatError) else error
