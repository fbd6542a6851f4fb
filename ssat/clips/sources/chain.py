"""The sources that settings name, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssat.clips.archives import ArchiveIndex
from ssat.clips.download import DownloadSettings
from ssat.clips.egress import Egress
from ssat.clips.lists import ClipList, numbered_lines, undecodable
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Source
from ssat.clips.sources.folder import FolderMirror, ListedFiles
from ssat.clips.sources.tar import TarMirror, is_tar, is_url
from ssat.clips.sources.web import WebSource
from ssat.errors import InputError
from ssat.workspace import Workspace

_EXPECTED = "expected a tar archive, a text file that names tar archives, a folder, or an address with {clip_id} in it"


@dataclass(frozen=True)
class Chain:
    """What is asked for a clip. A stage is a tar mirror, which is streamed, or sources that are asked clip by clip."""

    stages: Sequence[TarMirror | list[Source]]

    @property
    def network(self) -> bool:
        """Whether requests leave this machine."""
        direct = [source for stage in self.stages if isinstance(stage, list) for source in stage]
        tars = [archive for stage in self.stages if isinstance(stage, TarMirror) for archive in stage.archives]
        return any(source.network for source in direct) or any(is_url(archive) for archive in tars)

    @property
    def folders(self) -> list[FolderMirror]:
        """The sources that are folders."""
        direct = [source for stage in self.stages if isinstance(stage, list) for source in stage]
        return [source for source in direct if isinstance(source, FolderMirror)]

    @property
    def archives(self) -> list[TarMirror]:
        """The stages that are tar mirrors."""
        return [stage for stage in self.stages if isinstance(stage, TarMirror)]


def sources_of(settings: CollectSettings, clips: ClipList, workspace: Workspace, egress: Egress) -> Chain:
    """The sources for the clips of a list: its mirrors in the order given, then the addresses.

    Raises:
        InputError: a mirror that is none, or mirrors for a list whose clips have no ids of a data set.
    """
    if clips.kind == "folder":
        stage: list[Source] = [ListedFiles()]
        _refuse_mirrors(settings, clips)
        return Chain([stage])
    download = DownloadSettings.of(settings)
    if clips.kind == "urls":
        _refuse_mirrors(settings, clips)
        return Chain([[WebSource(download, egress)]])
    index = ArchiveIndex(workspace.clips / "archives")
    stages: list[TarMirror | list[Source]] = []

    def append(found: list[str] | Source) -> None:
        last = stages[-1] if stages else None
        if isinstance(found, list):
            if isinstance(last, TarMirror):
                found = [*last.archives, *found]
                stages.pop()
            stages.append(TarMirror(found, index, download, settings.max_mib << 20))
        elif isinstance(last, list):
            last.append(found)
        else:
            stages.append([found])

    for mirror in settings.mirrors:
        if mirror.startswith(("http://", "https://")) and "{clip_id}" in mirror:
            append(WebSource(download, egress, mirror))
        elif is_tar(mirror):
            append([_archive(mirror, Path(), mirror)])
        else:
            append(_local_mirror(Path(mirror).expanduser()))
    if not settings.mirrors_only:
        append(WebSource(download, egress, settings.url_template))
    if not stages:
        raise InputError("collect: mirrors_only is set and no mirror is given; name one with setting `mirrors`")
    return Chain(stages)


def _refuse_mirrors(settings: CollectSettings, clips: ClipList) -> None:
    if settings.mirrors or settings.mirrors_only:
        raise InputError(
            f"{clips.source}: mirrors go with a CSV list, whose clips have ids; this list says where its clips are"
        )


def _local_mirror(path: Path) -> list[str] | Any:
    if path.is_dir():
        tars = sorted(str(file.resolve()) for file in path.iterdir() if file.is_file() and is_tar(file.name))
        if tars:
            return tars
        folder = FolderMirror(path)
        if not len(folder):
            left_out = "".join(f"; {group.describe()}" for group in folder.skipped)
            raise InputError(f"mirror {path}: neither tar archives nor videos in this folder{left_out}")
        return folder
    if not path.is_file():
        raise InputError(f"mirror {path}: no such file or folder; {_EXPECTED}")
    return _archives_named_in(path)


def _archives_named_in(path: Path) -> list[str]:
    """The archives that a mirror's own list names, one a line: addresses, or paths relative to the list."""
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
