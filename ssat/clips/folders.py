"""Videos in a folder and its sub-folders; skipped files are counted by reason."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ssat.errors import InputError
from ssat.redaction import printable

VIDEO_SUFFIXES = frozenset(
    {
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m2t", ".m2ts", ".m2v", ".m4v"),
        *(".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".ts", ".vob"),
        *(".webm", ".wmv"),
    }
)
_MAX_EXAMPLES = 5

NOT_A_VIDEO = "not a video by the suffix"
HIDDEN = "hidden: the name, or that of its folder, begins with a dot"
LINK_OUT = "a link that leaves the folder"
BROKEN_LINK = "a link to nothing"
NO_FILE = "not a file"
LINKED_FOLDER = "a link to a folder"
UNREADABLE = "a folder that cannot be read"

REMEDIES = {
    NOT_A_VIDEO: "rename files that are videos so that they end in a video suffix, such as .mp4",
    HIDDEN: "rename it without the dot to use it",
    LINK_OUT: "replace the link by a copy of its file, or collect from the folder that holds the file",
    BROKEN_LINK: "restore the file, or remove the link",
    NO_FILE: "give it another name, or put the video in its place",
    LINKED_FOLDER: "links to folders are not followed: move the folder here, or collect from it in its own place",
    UNREADABLE: "grant read access to it",
}


@dataclass(frozen=True)
class Skipped:
    """Files of a folder that were left out for one reason.

    Attributes:
        reason: why, in words.
        remedy: what to do to have them used.
        files: how many.
        examples: paths of the first of them, relative to the folder.
    """

    reason: str
    remedy: str
    files: int
    examples: tuple[str, ...]

    def describe(self) -> str:
        """Return one line: count, reason, examples, remedy."""
        more = ", …" if self.files > len(self.examples) else ""
        return f"{self.files} left out ({self.reason}): {', '.join(self.examples)}{more}; {self.remedy}"


@dataclass
class FolderListing:
    """The videos of a folder, sorted by path, and what was left out: paths by reason, each sorted."""

    folder: Path
    videos: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def skipped(self) -> list[Skipped]:
        """Return what was left out, counted by reason."""
        groups = []
        for reason, paths in self.left_out.items():
            words = reason
            if reason == NOT_A_VIDEO:
                suffixes = Counter(printable(path.suffix.lower()) or "no suffix" for path in paths)
                words += f": {', '.join(f'{count} {suffix}' for suffix, count in suffixes.most_common(8))}"
                words += ", …" if len(suffixes) > 8 else ""
            examples = [printable(path.relative_to(self.folder).as_posix()) for path in paths[:_MAX_EXAMPLES]]
            groups.append(Skipped(words, REMEDIES[reason], len(paths), tuple(examples)))
        return groups


def list_videos(folder: Path) -> FolderListing:
    """List the videos below `folder`, a resolved path. Links to files inside it are followed, no others.

    Raises:
        InputError: the folder itself cannot be read.
    """
    listing = FolderListing(folder)

    def leave_out(reason: str, path: Path) -> None:
        listing.left_out.setdefault(reason, []).append(path)

    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as scan:
                entries = list(scan)
        except OSError as error:
            if current == folder:
                raise InputError(f"{folder}: the folder cannot be read: {error.strerror}") from error
            leave_out(UNREADABLE, current)
            continue
        for entry in entries:
            path = current / entry.name
            is_video = path.suffix.lower() in VIDEO_SUFFIXES
            if entry.name.startswith("."):
                if is_video or entry.is_dir(follow_symlinks=False):
                    leave_out(HIDDEN, path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_symlink() and (reason := _link_refusal(path, folder, is_video)):
                leave_out(reason, path)
            elif not is_video:
                leave_out(NOT_A_VIDEO, path)
            elif not path.is_file():
                leave_out(NO_FILE, path)
            else:
                listing.videos.append(path)
    listing.videos.sort()
    listing.left_out = {reason: sorted(listing.left_out[reason]) for reason in REMEDIES if reason in listing.left_out}
    return listing


def _link_refusal(path: Path, folder: Path, is_video: bool) -> str:
    """Return why a link is left out; empty if it leads to a file inside the folder, or is not a video anyway."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        return BROKEN_LINK if is_video else ""
    if target.is_dir():
        return LINKED_FOLDER
    return "" if not is_video or target.is_relative_to(folder) else LINK_OUT
