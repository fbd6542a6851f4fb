"""What a collector tells of the clips of a shard while it works through them."""

from __future__ import annotations

from collections.abc import Sequence

from ssat.clips import status as st
from ssat.clips.rows import StatusRow


class ClipProgress:
    """Told of every candidate, from any thread. This one does nothing; subclasses show or count."""

    def started(self) -> None:
        """A clip is being fetched and trimmed from now on."""

    def finished(self, failure: str = "") -> None:
        """A clip that was started is done. `failure`: class and reason where it failed."""

    def skipped(self) -> None:
        """A clip is left to the next stage without being started."""


def failure_of(rows: Sequence[StatusRow]) -> str:
    """Return class and reason of the last of a clip's attempts; empty where it was collected or not tried."""
    if not rows or rows[-1].status == st.OK:
        return ""
    return ": ".join(filter(None, (rows[-1].error_class, rows[-1].error_message)))
