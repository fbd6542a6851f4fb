"""Progress as a table on the page of a Prefect run."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import TableArtifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from tasks.progress import Bar

EVERY_S = 5.0


@contextmanager
def progress_artifact(bar: Bar, key: str) -> Iterator[None]:
    """Update a table artifact of the current run from `bar`, every five seconds and at the end.

    Args:
        bar: is shown.
        key: of the artifact: lower-case letters, digits and dashes.
    """
    # Called outside a running event loop, it gives the id itself.
    artifact = cast(UUID, create_table_artifact(key=key, table=_rows(bar), description="queue, rate and failures"))
    stop = threading.Event()

    def update() -> None:
        with contextlib.suppress(Exception):  # a server that is slow for a moment must not cost the work
            data = cast(str, TableArtifact(table=_rows(bar)).format(_sync=True))  # type: ignore[call-arg]
            with get_client(sync_client=True) as client:
                client.update_artifact(artifact, ArtifactUpdate(data=data))

    def keep_up_to_date() -> None:
        while not stop.wait(EVERY_S):
            update()

    thread = threading.Thread(target=keep_up_to_date, name="progress-artifact", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        update()


def _rows(bar: Bar) -> list[dict[str, str | float]]:
    now = bar.now()
    left = "" if now.remaining_s is None else f"{now.remaining_s:.0f} s"
    columns: dict[str, str | float | None] = {
        "work": now.progress,
        "done": now.done,
        "of": now.total,
        "queued": now.queued,
        "in flight": now.in_flight,
        "per second": now.per_second,
        "left": left,
        "failed": now.failures,
        "last failure": now.last_failure,
    }
    return [{name: "" if value is None else value for name, value in columns.items()}]
