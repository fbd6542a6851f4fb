"""Data sets from their publishers: fetched with resume, checked, unpacked without trust."""

from __future__ import annotations

import http.client
import json
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ssat.errors import InputError
from ssat.workspace import committed, sha256_of

_RECORD = "download.json"
# Exceptions of zipfile for an archive that is truncated, altered, encrypted, or of an unknown compression.
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
_CHUNK = 1 << 20
_TIMEOUT_S = 60.0
_MAX_TRIES = 5  # without a byte of progress
_PAUSE_S = 2.0
_MAX_BYTES = 64 << 30  # of everything unpacked; MOT17 is 5.5 GB
_MAX_MEMBER_BYTES = 1 << 30
_MAX_MEMBERS = 500_000
_MAX_RATIO = 200  # unpacked to packed bytes of a member; text packs to a tenth, pictures not at all
_SMALL_BYTES = 1 << 20  # smaller members may have any ratio
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Downloaded:
    """Facts about a downloaded archive. The publisher gives no checksum: ours is kept for later checks."""

    url: str
    bytes: int
    sha256: str
    etag: str | None


def download_sequences(
    folder: Path, url: str, sha256: str | None = None, progress: Progress = lambda done, total: None
) -> Path:
    """Return a data set of MOTChallenge below `folder`: fetched, checked, unpacked; does only what is missing.

    Args:
        folder: gets the archive, and the data set beside it in a folder named after the archive.
        url: of a zip.
        sha256: what the archive must have; by default it is not known beforehand, and recorded in download.json.
        progress: is called with the bytes that are there, and how many there will be.

    Returns:
        The folder of the data set.

    Raises:
        InputError: the address does not answer, the archive is not what it should be, or it holds what is refused.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if urlsplit(url).scheme not in ("http", "https") or not name.endswith(".zip"):
        raise InputError(f"{url}: expected the http(s) address of a zip")
    target = folder / name.removesuffix(".zip")
    if (target / _RECORD).is_file():
        known = read_download(target)
        if sha256 is not None and known.sha256 != sha256:
            raise InputError(f"{target}: was unpacked from sha256 {known.sha256}, expected {sha256}; delete the folder")
        return target
    if target.exists():
        raise InputError(f"{target}: exists already, and not from a download; use it as it is, or name another folder")
    archive = fetch(url, folder / name, progress)
    digest = sha256_of(archive)
    if sha256 is not None and digest != sha256:
        raise InputError(f"{archive}: its sha256 is {digest}, expected {sha256}; delete the file and fetch it again")
    unpack(archive, target, Downloaded(url, archive.stat().st_size, digest, _etag(archive)))
    return target


def read_download(target: Path) -> Downloaded:
    """Return what is known of the archive that `target` was unpacked from.

    Raises:
        InputError: the record is missing or damaged.
    """
    path = target / _RECORD
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Downloaded(str(known["url"]), int(known["bytes"]), str(known["sha256"]), known["etag"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no readable record of a download ({error}); expected url, bytes, sha256 and etag. Delete the "
            "folder and fetch it again"
        ) from error


def fetch(url: str, path: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download `url` to `path`, completely or not at all; continue an interrupted download.

    Raises:
        InputError: the server does not answer, refuses, or sends less than it promised, again and again.
    """
    if path.is_file():
        return path
    part = path.with_name(f".{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    tries = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _fetch_more(url, part, progress)
            break
        except _Again as error:
            after = part.stat().st_size if part.is_file() else 0
            tries = 0 if after > before else tries + 1
            if tries >= _MAX_TRIES:
                raise InputError(
                    f"{url}: {error}, {tries} times without progress; {after} bytes are kept in {part}: run again later"
                ) from error
            time.sleep(_PAUSE_S * tries)
    part.replace(path)
    return path


class _Again(Exception):  # noqa: N818 - no error: the next try may go on
    """The connection ended early."""


def _fetch_more(url: str, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.is_file() else 0
    validator = _etag(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "ssat"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator  # the publisher may have replaced the archive meanwhile
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            if have and response.status != http.client.PARTIAL_CONTENT:
                have = 0  # no ranges here, or another archive than before: from the beginning
            total = _total(response, have)
            _note_etag(part, response.headers.get("ETag"))
            if total is not None:
                # Pictures pack to no less than they are: what is unpacked takes as much again.
                _check_space(part, 2 * total - have, f"to fetch and unpack {total >> 20} MiB")
            with part.open("ab" if have else "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    have += len(chunk)
                    progress(have, total)
            if total is not None and have < total:
                raise _Again(f"the connection ended at {have} of {total} bytes")
            if total is not None and have > total:
                part.unlink()
                raise _Again(f"{have} bytes came instead of {total}")
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return  # all of it was there
            part.unlink()
            raise _Again("the archive on the server is another one by now") from error
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise _Again(f"HTTP {error.code}") from error
        raise InputError(f"{url}: HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Again(str(getattr(error, "reason", None) or error or type(error).__name__)) from error


def _total(response: http.client.HTTPResponse, have: int) -> int | None:
    if have:
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _check_space(part: Path, needed: int, purpose: str) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise InputError(
            f"{part.parent}: {free >> 20} MiB free, expected {needed >> 20} MiB {purpose}; make room or name another "
            "folder"
        )


def _etag(path: Path) -> str | None:
    note = path.with_name(f"{path.name}.etag")
    if not note.is_file() and not path.name.startswith("."):
        note = path.with_name(f".{path.name}.part.etag")
    return note.read_text().strip() or None if note.is_file() else None


def _note_etag(part: Path, etag: str | None) -> None:
    # A weak validator does not guarantee the same bytes.
    part.with_name(f"{part.name}.etag").write_text("" if etag is None or etag.startswith("W/") else etag)


def unpack(archive: Path, target: Path, facts: Downloaded) -> None:
    """Unpack a zip into the new folder `target`, completely or not at all, without a leading folder of that name.

    Sizes and checksums of all members are checked. Refused as a whole: absolute paths, `..`, links, devices, encrypted
    or doubled members, and what unpacks to far more than an archive of pictures and text can.

    Raises:
        InputError: no zip, damaged, or something in it is refused; nothing is left behind.
    """
    unfinished = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as members:
            chosen = _members(archive, members, target.name)
            _check_space(unfinished, sum(member.file_size for member in chosen.values()), f"to unpack {archive.name}")
            for path, member in chosen.items():
                destination = unfinished / path
                destination.parent.mkdir(parents=True, exist_ok=True)
                # Reading to the end checks the member's CRC-32; more bytes than it promised are not read.
                with members.open(member) as content, destination.open("wb") as file:
                    shutil.copyfileobj(content, file, _CHUNK)
                if destination.stat().st_size != member.file_size:
                    raise zipfile.BadZipFile(f"{member.filename} has {destination.stat().st_size} bytes")
        with committed(unfinished / _RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(facts), indent=1))
        unfinished.replace(target)
    except DAMAGED_ZIP as error:
        raise InputError(f"{archive}: damaged or no zip archive ({error}); delete it and fetch it again") from error
    except OSError as error:
        raise InputError(
            f"{target}: cannot be unpacked ({error.strerror or error}); make room, then run again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _members(archive: Path, members: zipfile.ZipFile, name: str) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return path below the target → member, of the files."""
    entries = members.infolist()
    if len(entries) > _MAX_MEMBERS:
        raise InputError(f"{archive}: holds {len(entries)} members, more than {_MAX_MEMBERS}: refused")
    chosen: dict[PurePosixPath, zipfile.ZipInfo] = {}
    total = 0
    for member in entries:
        if reason := _refusal(member):
            raise InputError(f"{archive}: member {member.filename!r} {reason}: refused, nothing was unpacked")
        total += member.file_size
        if total > _MAX_BYTES:
            raise InputError(f"{archive}: unpacks to more than {_MAX_BYTES >> 30} GiB: refused")
        path = PurePosixPath(member.filename)
        if path.parts[:1] == (name,):
            path = path.relative_to(name)
        if member.is_dir():
            continue
        if path in chosen:
            raise InputError(f"{archive}: member {member.filename!r} is there twice: refused, nothing was unpacked")
        chosen[path] = member
    if not chosen:
        raise InputError(f"{archive}: holds no file")
    return chosen


def _refusal(member: zipfile.ZipInfo) -> str:
    path = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or "\\" in member.filename or ":" in member.filename or "\0" in member.orig_filename:
        return "has an absolute path, a backslash or a colon"
    if ".." in path.parts or not path.parts:
        return "leads out of the folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > _MAX_MEMBER_BYTES:
        return f"unpacks to {member.file_size >> 20} MiB"
    if member.file_size > max(_SMALL_BYTES, _MAX_RATIO * member.compress_size):
        return f"unpacks {member.compress_size} bytes to {member.file_size}"
    return ""
