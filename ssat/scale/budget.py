"""The budget of a run: time, disk and failures."""

from __future__ import annotations

import time

from ssat.scale.ladder import Rung
from ssat.scale.settings import ScaleSettings

GIB = 1024**3
# Outcomes caused by the video itself (not available), not by network, disk or downloader.
_NOT_OURS = frozenset({"ok", "waiting", "GONE", "GEO", "AUTH"})


class Budget:
    """Counts what one run has used and says when that is enough, and whether a stage would still fit."""

    def __init__(self, settings: ScaleSettings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._failures = 0

    def note_outcomes(self, by_class: dict[str, int]) -> None:
        """Count the outcomes of the finished shard."""
        self._failures += sum(count for name, count in by_class.items() if name not in _NOT_OURS)

    def note_failures(self, count: int) -> None:
        """So many clips could not be decoded."""
        self._failures += count

    @property
    def seconds_left(self) -> float:
        """Until the hours are over; infinite without such a limit."""
        if self._settings.hours is None:
            return float("inf")
        return self._settings.hours * 3600 - (time.monotonic() - self._began)

    def spent(self) -> str:
        """Return why the run has to stop now, or an empty text."""
        if self.seconds_left <= 0:
            return f"budget: the {self._settings.hours:g} hours of this run are over"
        allowed = self._settings.failures
        if allowed is not None and self._failures >= allowed:
            return (
                f"budget: {self._failures} clips failed in this run ({allowed} allowed): look at the network, the disk "
                "and the failures of the clips, then run again"
            )
        return ""

    def refuses_decode(self, clips: int, on_disk: int, last: Rung | None) -> str:
        """Return why decoding up to `clips` clips would not fit, by the previous rung; an empty text if it fits.

        Args:
            clips: of the roster now.
            on_disk: bytes that clips and frames take now.
            last: the rung before, whose clips, bytes and rates are known; None: nothing is known.
        """
        if self._settings.gib is not None and on_disk > self._settings.gib * GIB:
            return f"budget: clips and frames take {on_disk / GIB:.2f} GiB of {self._settings.gib:g}"
        if last is None:
            return ""
        expected = last.stored_bytes / last.classes * clips
        if self._settings.gib is not None and expected > self._settings.gib * GIB:
            return (
                f"budget: the clips and frames of {clips:,} clips would take about {expected / GIB:.2f} GiB, "
                f"{self._settings.gib:g} are allowed"
            )
        return ""

    def refuses_training(self, images: int, last: Rung | None) -> str:
        """Return why a training over `images` images would not fit into the hours left, judged by the one before."""
        if last is None or not last.images:
            return ""
        expected = images * last.training_seconds / last.images
        if expected > self.seconds_left:
            return (
                f"budget: training would take about {expected / 3600:.1f} hours, {self.seconds_left / 3600:.1f} of "
                "this run are left; what is collected and decoded is kept: allow more hours and run again"
            )
        return ""
