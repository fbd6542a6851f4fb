"""Sources of the video of a clip, tried in the given order until one has it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssat.clips.lists import Candidate


@dataclass(frozen=True)
class Video:
    """A video file that has the clip in it, from `start_s` to `end_s` (None: to its end), in seconds."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


class Stopped(Exception):  # noqa: N818 - not an error
    """Fetching was broken off because the collector is stopping."""


class Source(Protocol):
    """One place that may have videos.

    Attributes:
        name: how results and messages call it.
        network: whether its requests leave this machine, so that the breaker of the egress holds them up.
        tool: what fetches, with its version, for the status table.
    """

    name: str
    network: bool
    tool: str

    def address(self, candidate: Candidate) -> str | None:
        """Return the address of the clip, for the status table; None if this source certainly lacks it."""

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        """Return the clip's video, as a file that is there already or one that is written into `folder`.

        Raises:
            ClipFailure: it could not be had.
            Stopped: `stopped` was set.
            OSError: a fault of this machine, such as a full disk.
        """
