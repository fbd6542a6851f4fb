"""Videos on this machine: the files of a listed folder, or a folder that mirrors a data set."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import av

from ssat.clips.folders import list_videos
from ssat.clips.lists import Candidate
from ssat.clips.sources import Video

# The names that the usual downloaders of Kinetics give: ID_000010_000020.mp4 is the clip from 10 s to 20 s, cut out.
_CUT = re.compile(r"(?P<clip_id>.+)_(?P<start>\d{6})_(?P<end>\d{6})")


def cut_name(stem: str) -> tuple[str, int, int] | None:
    """Clip id, start and end in seconds of a file name without suffix that names a span; None if it names none."""
    match = _CUT.fullmatch(stem)
    return (match["clip_id"], int(match["start"]), int(match["end"])) if match else None


class ListedFiles:
    """The files of a folder that is itself the clip list."""

    name = "folder"
    network = False
    tool = f"PyAV {av.__version__}"

    def address(self, candidate: Candidate) -> str | None:
        return candidate.locator

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        return Video(Path(candidate.locator), candidate.start_s, candidate.end_s)


class FolderMirror:
    """A folder, with its sub-folders, of files named CLIPID.mp4 (whole videos) or CLIPID_000010_000020.mp4 (cut)."""

    network = False
    tool = f"PyAV {av.__version__}"

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._whole: dict[str, Path] = {}
        self._cut: dict[tuple[str, int, int], Path] = {}
        listing = list_videos(folder.resolve())
        self.folder = listing.folder
        self.skipped = listing.skipped()
        for path in listing.videos:
            if (cut := cut_name(path.stem)) is not None:
                self._cut.setdefault(cut, path)
            self._whole.setdefault(path.stem, path)

    def __len__(self) -> int:
        return len(self._whole)

    def _find(self, candidate: Candidate) -> Video | None:
        end = candidate.end_s if candidate.end_s is not None else -1
        if (path := self._cut.get((candidate.clip_id, int(candidate.start_s), int(end)))) is not None:
            return Video(path)
        if (path := self._whole.get(candidate.clip_id)) is not None:
            return Video(path, candidate.start_s, candidate.end_s)
        return None

    def address(self, candidate: Candidate) -> str | None:
        video = self._find(candidate)
        return str(video.path) if video else None

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        video = self._find(candidate)
        assert video is not None  # noqa: S101 - the caller asked `address` first
        return video
