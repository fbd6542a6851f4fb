"""Tar archives that mirror a data set: each is streamed once, from disk or over HTTP, never unpacked as a whole."""

from __future__ import annotations

import tarfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from ssat.clips.archives import ArchiveIndex, Refused
from ssat.clips.download import DownloadSettings, opened_url
from ssat.clips.failures import ClipFailure, FailureClass
from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.clips.lists import Candidate, candidate_key
from ssat.clips.sources import Stopped, Video
from ssat.clips.sources.folder import cut_name

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Names and attributes before a member are read into memory as a whole: a few kilobytes in a regular archive.
_MAX_HEADER_BYTES = 1 << 20
_CHUNK = 1 << 20
_MAX_MEMBER_BYTES = 16 << 30
_MAX_EMPTY_READS = 64
_MAX_TRAILING_BYTES = 64 << 20
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, LZMAError, UnicodeDecodeError)


def is_tar(name: str) -> bool:
    """Return whether a path or URL names a tar archive."""
    path = urlsplit(name).path if "://" in name else name
    return path.lower().endswith(TAR_SUFFIXES)


def is_url(address: str) -> bool:
    """Return whether an archive is fetched over HTTP rather than read from this machine."""
    return address.startswith(("http://", "https://"))


class _BoundedTarInfo(tarfile.TarInfo):
    """A header that does not make its reader take in gigabytes."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        regular = self.type in tarfile.SUPPORTED_TYPES and self.type not in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if not regular and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


class _Ending:
    """A stream that says so when it is read beyond its end: tarfile would look for what a header promises for ever."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._empty = 0

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._empty = 0 if content else self._empty + 1
        if self._empty > _MAX_EMPTY_READS:
            raise EOFError("ends before what its headers promise")
        return content


def ending(file: IO[bytes]) -> Any:
    """`file` as tarfile takes it."""
    return _Ending(file)


class TarMirror:
    """Tar archives in the order in which they are read, and what is known of those that were read.

    A member is taken when it is a plain file named CLIPID.SUFFIX or CLIPID_000010_000020.SUFFIX (clip, start, end) for
    a clip that is wanted. Its own path is never used: absolute paths, `..`, links and devices are refused and counted.
    """

    name = "tar archives"
    tool = "tar"

    def __init__(
        self, archives: Sequence[str], index: ArchiveIndex, settings: DownloadSettings, max_bytes: int
    ) -> None:
        self.archives = list(dict.fromkeys(archives))
        self.index = index
        self._settings = settings
        self._max_bytes = max_bytes
        # Archives that could not be read in this run, with the reason.
        self.problems: dict[str, str] = {}
        # Clips whose member does not fit its name: another span, or too large.
        self._missed: dict[str, set[str]] = {}
        self._failures: Counter[str] = Counter()

    def failed(self, archive: str) -> int:
        """Note that an archive could not be read this time; gives how often that happened in this run."""
        self._failures[archive] += 1
        return self._failures[archive]

    def next_archive(self, clip_ids: Collection[str]) -> str | None:
        """Return the first archive that was not read yet or is known to hold one of the clips; None: none."""
        wanted = set(clip_ids)
        for archive in self.archives:
            if archive in self.problems:
                continue
            members = self.index.members(archive)
            if members is None:
                if wanted:
                    return archive
            elif not (wanted - self._missed.get(archive, set())).isdisjoint(members):
                return archive
        return None

    def clips(
        self,
        archive: str,
        wanted: dict[str, Candidate],
        folder: Path,
        stopped: threading.Event,
        ready: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[Candidate, Video]]:
        """Yield the wanted clips of an archive, each written into a folder of its own below `folder`.

        `ready` is called before each, and may block: it bounds how many files lie there at a time. When the end is
        reached, the archive is marked as read, with what it holds.

        Raises:
            ClipFailure: it cannot be read (to its end).
            Stopped: `stopped` was set.
            OSError: a fault of this machine.
        """
        held: set[str] = set()
        refused = Refused()
        taken: set[str] = set()
        with self._opened(archive) as members:
            while (member := _next(members)) is not None:
                if stopped.is_set():
                    raise Stopped
                reason = _refusal(member)
                if reason:
                    refused.add(reason, member.name)
                    continue
                clip_id, cut = _named_clip(member.name, wanted)
                if clip_id:
                    held.add(clip_id)
                candidate = wanted.get(clip_id)
                if candidate is None or clip_id in taken or (cut and not _same_span(cut, candidate)):
                    continue
                if member.size > self._max_bytes:
                    refused.add(f"larger than {self._max_bytes >> 20} MiB (setting max_download_mib)", member.name)
                    continue
                ready()
                target = folder / candidate_key(0, candidate.clip_id).hex()[:24] / f"video{_suffix(member.name)}"
                _write(members, member, target, stopped)
                taken.add(clip_id)
                yield candidate, Video(target) if cut else Video(target, candidate.start_s, candidate.end_s)
        self._missed[archive] = held & wanted.keys() - taken
        self.index.mark_read(archive, held, refused)

    @contextmanager
    def _opened(self, archive: str) -> Iterator[tarfile.TarFile]:
        @contextmanager
        def stream() -> Iterator[IO[bytes]]:
            if is_url(archive):
                with opened_url(archive, self._settings) as response:
                    yield response
            else:
                try:
                    file = Path(archive).open("rb")  # noqa: SIM115 - closed below
                except OSError as error:
                    raise ClipFailure(FailureClass.GONE, f"{archive}: {error.strerror}") from error
                with file:
                    yield file

        try:
            with (
                stream() as file,
                tarfile.open(fileobj=ending(file), mode="r|*", tarinfo=_BoundedTarInfo, errorlevel=1) as members,
            ):
                yield members
                # A tar ends with a block of zeros; only after it is the archive known to be complete.
                for _ in range(_MAX_TRAILING_BYTES // _CHUNK):
                    if not file.read(_CHUNK):
                        break
        except _DAMAGED as error:
            raise ClipFailure(FailureClass.MEDIA, f"damaged or no tar archive: {error}") from error


def _next(members: tarfile.TarFile) -> tarfile.TarInfo | None:
    member = members.next()
    members.members = []  # type: ignore[attr-defined]  # or every header of a large archive would stay in memory
    if member is not None and member.size > _MAX_MEMBER_BYTES:
        raise tarfile.ReadError(f"a member of {member.size} bytes")  # skipping it could take days
    return member


def _refusal(member: tarfile.TarInfo) -> str:
    """Return why a member is skipped at once; empty for plain files and folders."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or "\\" in member.name:
        return "absolute path or backslash"
    if ".." in path.parts:
        return "path with .."
    if member.issym() or member.islnk():
        return "link"
    if member.isdir():
        return ""
    return "" if member.isreg() and not member.issparse() else "device, pipe or sparse file"


def _named_clip(name: str, wanted: Collection[str]) -> tuple[str, tuple[int, int] | None]:
    """Clip id of a member, and the span in seconds that it was cut to; "" where its name is not that of a video."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in VIDEO_SUFFIXES or path.name.startswith("."):
        return "", None
    cut = cut_name(path.stem)
    if cut is None or path.stem in wanted:
        return path.stem, None
    return cut[0], cut[1:]


def _same_span(cut: tuple[int, int], candidate: Candidate) -> bool:
    return cut == (int(candidate.start_s), int(candidate.end_s or -1))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, target: Path, stopped: threading.Event) -> None:
    content: Any = members.extractfile(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        left = member.size
        while left:
            if stopped.is_set():
                raise Stopped
            chunk = content.read(min(_CHUNK, left))
            if not chunk:
                raise EOFError(f"ends within {member.name!r}")
            file.write(chunk)
            left -= len(chunk)


class MemberSource:
    """A clip that was just written out of an archive, as the one source that is asked for it."""

    name = TarMirror.name
    network = False
    tool = TarMirror.tool

    def __init__(self, archive: str, video: Video) -> None:
        self._archive = archive
        self._video = video

    def address(self, candidate: Candidate) -> str | None:
        return self._archive

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        return self._video
