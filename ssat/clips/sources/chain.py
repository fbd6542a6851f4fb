"""The sources that settings name, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ssat.clips.archives import ArchiveIndex
from ssat.clips.download import DownloadSettings
from ssat.clips.egress import Egress
from ssat.clips.folders import Skipped
from ssat.clips.lists import ClipList, numbered_lines, undecodable
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Source
from ssat.clips.sources.folder import FolderMirror, ListedFiles
from ssat.clips.sources.tar import TarMirror, is_tar, is_url
from ssat.clips.sources.web import WebSource
from ssat.clips.stages import ArchiveStage, DirectStage, Stage
from ssat.errors import InputError
from ssat.workspace import Workspace

_EXPECTED = "expected a tar archive, a text file that names tar archives, a folder, or an address with {clip_id} in it"


@dataclass(frozen=True)
class Chain:
    """The stages that are asked for a clip, in order, and what folders among the mirrors leave out."""

    stages: Sequence[Stage]
    skipped: Sequence[tuple[Path, Skipped]] = ()

    @property
    def network(self) -> bool:
        """Whether requests leave this machine."""
        return any(stage.network for stage in self.stages)


def sources_of(settings: CollectSettings, clips: ClipList, workspace: Workspace, egress: Egress) -> Chain:
    """Return the sources for the clips of a list: its mirrors in the order given, then the addresses.

    Raises:
        InputError: a mirror that is none, or mirrors for a list whose clips have no ids of a data set.
    """
    if clips.kind == "folder":
        _refuse_mirrors(settings, clips)
        return Chain([DirectStage([ListedFiles()])])
    download = DownloadSettings.of(settings)
    if clips.kind == "urls":
        _refuse_mirrors(settings, clips)
        return Chain([DirectStage([WebSource(download, egress)])])
    index = ArchiveIndex(workspace.clips / "archives")
    parts = [_part(mirror, download, egress) for mirror in settings.mirrors]
    if not settings.mirrors_only:
        parts.append(_Part(sources=(WebSource(download, egress, settings.url_template),)))
    if not parts:
        raise InputError("collect: mirrors_only is set and no mirror is given; name one with setting `mirrors`")
    stages: list[Stage] = []
    # Neighbours of one kind share a stage.
    for archives, neighbours in groupby(parts, key=lambda part: bool(part.archives)):
        group = list(neighbours)
        if archives:
            names = [archive for part in group for archive in part.archives]
            stages.append(ArchiveStage(TarMirror(names, index, download, settings.max_download_mib << 20)))
        else:
            stages.append(DirectStage([source for part in group for source in part.sources]))
    return Chain(stages, [pair for part in parts for pair in part.skipped])


@dataclass(frozen=True)
class _Part:
    """The content of one mirror: archives, or sources that are asked clip by clip."""

    archives: Sequence[str] = ()
    sources: Sequence[Source] = ()
    skipped: Sequence[tuple[Path, Skipped]] = ()


def _part(mirror: str, download: DownloadSettings, egress: Egress) -> _Part:
    if mirror.startswith(("http://", "https://")) and "{clip_id}" in mirror:
        return _Part(sources=(WebSource(download, egress, mirror),))
    if is_tar(mirror):
        return _Part([_archive(mirror, Path(), mirror)])
    return _local_mirror(Path(mirror).expanduser())


def _refuse_mirrors(settings: CollectSettings, clips: ClipList) -> None:
    if settings.mirrors or settings.mirrors_only:
        raise InputError(f"{clips.source}: mirrors need a CSV list, whose clips have ids; this list has addresses")


def _local_mirror(path: Path) -> _Part:
    if path.is_dir():
        tars = sorted(str(file.resolve()) for file in path.iterdir() if file.is_file() and is_tar(file.name))
        if tars:
            return _Part(tars)
        folder = FolderMirror(path)
        if not len(folder):
            left_out = "".join(f"; {group.describe()}" for group in folder.skipped)
            raise InputError(f"mirror {path}: neither tar archives nor videos in this folder{left_out}")
        return _Part(sources=(folder,), skipped=[(folder.folder, group) for group in folder.skipped])
    if not path.is_file():
        raise InputError(f"mirror {path}: no such file or folder; {_EXPECTED}")
    return _Part(_archives_named_in(path))


def _archives_named_in(path: Path) -> list[str]:
    """Return the archives that a mirror's own list names, one a line: addresses, or paths relative to the list."""
    named = []
    for number, line in numbered_lines(path):
        text = line.strip()
        if text and not text.startswith("#"):
            if reason := undecodable("the line", text):
                raise InputError(f"mirror {path}: line {number}: {reason}; {_EXPECTED}")
            named.append(_archive(text, path.parent, f"{path}: line {number}"))
    if not named:
        raise InputError(f"mirror {path}: names no tar archive; expected one a line")
    return named


def _archive(name: str, folder: Path, where: str) -> str:
    if not is_tar(name):
        raise InputError(
            f"mirror {where}: {name[:80]!r} is no tar archive; expected a name that ends in .tar, .tar.gz …"
        )
    if is_url(name):
        return name
    file = (folder / Path(name).expanduser()).resolve()
    if not file.is_file():
        raise InputError(f"mirror {where}: no such file: {file}")
    return str(file)
