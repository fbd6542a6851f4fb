"""Clip lists: a Kinetics CSV, a text file of URLs or a folder of videos, read into one table of candidates."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ssat.clips.folders import FolderListing, Skipped, list_videos
from ssat.clips.settings import YOUTUBE_WATCH_URL
from ssat.errors import InputError
from ssat.redaction import printable, redacted, without_credentials

# A clip id becomes a file name: no separator, no leading dot, nothing a shell or a URL would read as syntax.
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
_REQUIRED = ("youtube_id", "time_start", "time_end")
Kind = Literal["csv", "urls", "folder"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A clip that may be collected.

    Attributes:
        clip_id: unique in its list, safe as a file name.
        locator: URL, or absolute path of a local file.
        start_s: where the clip begins in the video, in seconds.
        end_s: where the list says that it ends; None: the end of the video, or of the clip length wanted.
    """

    clip_id: str
    locator: str
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class RejectedRow:
    """A row of the list that cannot be used. `line` counts from 1."""

    line: int
    clip_id: str
    reason: str


# A row as it is read: its line and what it names, or why it cannot be used.
Row = tuple[int, Candidate] | RejectedRow


@dataclass
class ClipList:
    """A list as read: usable candidates in list order, and what was left out of it with the reason.

    Attributes:
        source: the list or folder, as an absolute path.
        kind: what it is.
        candidates: usable clips, in list order.
        rejected: rows that cannot be used.
        skipped: files of a folder that are not used, counted by reason.
    """

    source: Path
    kind: Kind
    candidates: list[Candidate] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def ordered(self, seed: int) -> list[Candidate]:
        """Return candidates by sha256(seed | clip id): the order in which clips get class ids."""
        return sorted(self.candidates, key=lambda candidate: candidate_key(seed, candidate.clip_id))


def candidate_key(seed: int, clip_id: str) -> bytes:
    """Return position of a clip among all candidates; depends on nothing but the seed and its own id."""
    return hashlib.sha256(f"{seed}|{clip_id}".encode()).digest()


def read_list(source: str | Path, *, url_template: str = YOUTUBE_WATCH_URL, min_seconds: float = 3.0) -> ClipList:
    """Read a clip list of any kind: a folder, a CSV with Kinetics columns, or a text file with a URL a line.

    Args:
        source: the folder or file.
        url_template: address of a CSV row's video, with {clip_id} in it.
        min_seconds: rows that name a shorter span are rejected.

    Raises:
        InputError: no such file, no list, a missing column, or no usable row left. A broken row among good ones is
            put into `rejected` instead, so that one row never costs the rest. So is a row with a byte that is not
            UTF-8 in a column that is read; in the other columns such bytes do not matter.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        listing = list_videos(path.resolve())
        result = ClipList(listing.folder, "folder", skipped=listing.skipped())
        rows: Iterable[Row] = _folder_rows(listing)
        empty = f"{path}: no video in this folder; expected files such as clip.mp4 or clip.mkv"
        empty += "".join(f"; {group.describe()}" for group in result.skipped)
    elif path.is_file():
        kind = _kind_of(path)
        result = ClipList(path.resolve(), kind)
        rows = _csv_rows(path, url_template, min_seconds) if kind == "csv" else _url_rows(path, min_seconds)
        empty = (
            f"{path}: the list has no clips; expected {'rows below the header' if kind == 'csv' else 'a URL a line'}"
        )
    else:
        raise InputError(f"{path}: no such clip list or folder; give a CSV, a text file of URLs or a folder of videos")
    lines: dict[str, int] = {}
    for row in rows:
        if isinstance(row, RejectedRow):
            result.rejected.append(row)
        elif row[1].clip_id in lines:
            line, candidate = row
            first = lines[candidate.clip_id]
            # Two spans of one video show the same people: they would be two classes that cannot be distinguished.
            reason = "duplicate clip" + (f": its video was first seen in line {first}" if first else "")
            result.rejected.append(RejectedRow(line, candidate.clip_id, reason))
        else:
            lines[row[1].clip_id] = row[0]
            result.candidates.append(row[1])
    if not result.candidates:
        if not result.rejected:
            raise InputError(empty)
        shown = "; ".join(_describe(row) for row in result.rejected[:5])
        raise InputError(f"{path}: no usable clip among {len(result.rejected)} rows: {shown}")
    return result


def describe_rejected(clips: ClipList, at_most: int = 10) -> list[str]:
    """Return a line for each of the first rejected rows, one that counts the others, one for each kind of file."""
    skipped = [f"{clips.source}: {group.describe()}" for group in clips.skipped]
    lines = [f"{clips.source}: {_describe(row)}" for row in clips.rejected[:at_most]]
    more = len(clips.rejected) - at_most
    return [*lines, *([f"{clips.source}: {more} more rows rejected"] if more > 0 else []), *skipped]


def _describe(row: RejectedRow) -> str:
    return f"line {row.line}: {row.reason}"


def _kind_of(path: Path) -> Kind:
    """By content, not by suffix: a list of URLs has one in its first line that says anything."""
    for number, line in numbered_lines(path):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
            return "urls"
        if "\0" in text or (_undecodable(text) and not all(name in text for name in _REQUIRED)):
            raise InputError(
                f"{path}: line {number}: not a text file in UTF-8; expected a CSV or a text file of URLs. Save a list "
                "of another encoding, such as UTF-16, as UTF-8"
            )
        return "csv"
    raise InputError(f"{path}: the list is empty; expected a header youtube_id,time_start,time_end,split or URLs")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers, from 1; bytes that are not UTF-8 become lone surrogates.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def undecodable(where: str, text: str) -> str:
    """Describe the first byte of a field that is not UTF-8; empty if all are. Addresses lose their secrets."""
    byte = _undecodable(text)
    # As repr, with each such byte as \xNN.
    shown = repr(redacted(text)[:64]).replace("\\\\x", "\\x")
    return f"{where} {shown} has a byte that is not UTF-8 ({byte}); save the list as UTF-8" if byte else ""


def _undecodable(text: str) -> str:
    match = re.search("[\udc80-\udcff]", text)
    return f"0x{ord(match[0]) - 0xDC00:02X}" if match else ""


def _csv_rows(path: Path, url_template: str, min_seconds: float) -> Iterator[Row]:
    lines = numbered_lines(path)
    header = [name.strip() for name in next((_fields(line) for _, line in lines if line.strip()), None) or []]
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise InputError(
            f"{path}: line 1: missing column {', '.join(missing)}; found: {printable(', '.join(header))[:200]}; "
            f"expected the columns of the Kinetics lists: [label,]youtube_id,time_start,time_end,split"
        )
    id_at, start_at, end_at = (header.index(name) for name in _REQUIRED)
    for number, line in lines:
        fields = _fields(line)
        if fields is None:
            yield RejectedRow(number, "", "a quotation mark that is not closed, or stands inside a field")
        elif len(fields) == len(header):
            yield _span_checked(
                number, fields[id_at].strip(), fields[start_at], fields[end_at], url_template, min_seconds
            )
        elif fields != [""]:
            yield RejectedRow(number, "", f"{len(fields)} fields, the header has {len(header)}")


def _fields(line: str) -> list[str] | None:
    """Return the fields of a line; None if its quotation marks do not fit.

    Line by line: to a reader of the whole file one mark too many would make a single field of all that follows.
    """
    line = line.rstrip("\r\n")
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        return None


def _span_checked(line: int, clip_id: str, start: str, end: str, url_template: str, min_seconds: float) -> Row:
    fields = (clip_id, start, end)
    for name, text in zip(_REQUIRED, fields, strict=True) if not "".join(fields).isascii() else ():
        if reason := undecodable(name, text):
            return RejectedRow(line, printable(clip_id)[:128], reason)
    if not _SAFE_ID.fullmatch(clip_id):
        return RejectedRow(
            line, clip_id[:128], f"youtube_id {clip_id[:64]!r}: only letters, digits, '_', '-' and '.' make an id"
        )
    span = _span(start, end, min_seconds)
    if isinstance(span, str):
        return RejectedRow(line, clip_id, f"clip {clip_id}: {span}")
    return line, Candidate(clip_id, url_template.replace("{clip_id}", clip_id), *span)


def _span(start: str, end: str, min_seconds: float) -> tuple[float, float] | str:
    """Return start and end in seconds, or what is wrong with them."""
    first, last = _seconds(start), _seconds(end)
    if first is None:
        return f"time_start {start.strip()[:32]!r} is not a number of seconds"
    if last is None:
        return f"time_end {end.strip()[:32]!r} is not a number of seconds"
    if last <= first:
        return f"time_end {last:g} is not after time_start {first:g}"
    if last - first < min_seconds:
        return f"{last - first:g} s from time_start to time_end, at least {min_seconds:g} s are needed"
    return first, last


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _url_rows(path: Path, min_seconds: float) -> Iterator[Row]:
    for line, text in numbered_lines(path):
        fields = text.split()
        if not fields or fields[0].startswith("#"):
            continue
        if not text.isascii() and (reason := undecodable("the line", text)):
            yield RejectedRow(line, "", reason)
            continue
        url = fields[0]
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme.lower() not in ("http", "https"):
            yield RejectedRow(line, "", f"{without_credentials(url)[:120]!r} is not an http or https URL")
        elif len(fields) > 3:
            yield RejectedRow(line, "", f"{len(fields)} fields; expected: URL [start_s [end_s]]")
        elif len(fields) == 1:
            yield line, Candidate(_id_of_url(url, ""), url)
        else:
            start = fields[1]
            end = fields[2] if len(fields) == 3 else "1e9"
            span = _span(start, end, min_seconds)
            if isinstance(span, str):
                yield RejectedRow(line, "", span)
            else:
                end_s = span[1] if len(fields) == 3 else None
                yield line, Candidate(_id_of_url(url, " ".join(fields[1:])), url, span[0], end_s)


def _id_of_url(url: str, span: str) -> str:
    """Readable part of the URL's path, and a digest that distinguishes URLs and spans."""
    name = _safe(Path(unquote(urlsplit(url).path)).stem)[:40].strip("._") or "clip"
    return f"{name}-{_short_digest(f'{url} {span}'.strip())}"


def _folder_rows(listing: FolderListing) -> Iterator[Row]:
    for path in listing.videos:
        yield 0, Candidate(_id_of_file(path.relative_to(listing.folder)), str(path))


def _id_of_file(relative: Path) -> str:
    """Return the clip id of a file from its own path alone, independent of other files.

    `0001.mp4` → 0001, `0001.avi` → 0001.avi, `a/0001.mp4` → 0001-<digest of the path>.
    """
    name = relative.stem if relative.suffix == ".mp4" else relative.name
    if len(relative.parts) == 1 and _SAFE_ID.fullmatch(name):
        return name
    return f"{_safe(relative.stem)[:40].strip('._') or 'clip'}-{_short_digest(relative.as_posix())}"


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
