"""The disk budget: a shard that would not fit is not begun."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssat.clips.settings import CollectSettings

_GIB = 2**30
# Size of a clip of 10 s at short side 256, used until clips of this workspace are measured.
_USUAL_CLIP_BYTES = 1_000_000


class DiskBudget:
    """Size of the collected clips, and free space on the disk."""

    def __init__(self, folder: Path, settings: CollectSettings, clips: int, clip_bytes: int) -> None:
        """`clips` clips of the workspace take `clip_bytes` bytes so far."""
        self._folder = folder
        self._settings = settings
        self._clips = clips
        self._bytes = clip_bytes

    def add(self, clip_bytes: int) -> None:
        """Count one more collected clip."""
        self._clips += 1
        self._bytes += clip_bytes

    def refusal(self, clips: int) -> str:
        """Return why a shard of `clips` clips may not begin, with sizes and what to do; empty if it fits.

        A shard needs the clips that come of it, and while it is at work a few source videos.
        """
        each = self._bytes / self._clips if self._clips else _USUAL_CLIP_BYTES
        needed = clips * each
        limit, settings = self._settings.max_disk_gib, self._settings
        if limit is not None and self._bytes + needed > limit * _GIB:
            return (
                f"stopped before a shard of {clips} clips (about {_gib(needed)}): the clips take {_gib(self._bytes)} "
                f"of the {limit:g} GiB allowed (setting max_disk_gib); allow more or ask for fewer clips, then run "
                "again"
            )
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return ""  # the first write will say it better
        if free < needed + settings.min_free_gib * _GIB:
            return (
                f"stopped before a shard of {clips} clips: about {_gib(needed)} are needed, {self._folder} has "
                f"{_gib(free)} free and {settings.min_free_gib:g} GiB have to stay free (setting min_free_gib); make "
                "room, then run again"
            )
        return ""


def _gib(size: float) -> str:
    return f"{size / _GIB:.2f} GiB"
