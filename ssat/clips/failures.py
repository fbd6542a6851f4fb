"""The seven failure classes of a clip, and the consequence of each."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from enum import StrEnum

from ssat.redaction import redacted


class FailureClass(StrEnum):
    """The error classes of the status table."""

    GONE = "GONE"  # private, removed, terminated, DRM: never tried again
    GEO = "GEO"  # blocked in this region: tried again only when asked, from another region
    AUTH = "AUTH"  # age or sign-in wall: given up
    RATE = "RATE"  # too many requests: nothing is downloaded for a while; costs the clip no attempt
    NET = "NET"  # reset, 5xx, short read: tried again after a pause
    TOOL = "TOOL"  # the extractor or its set-up is broken: every clip would fail the same way
    MEDIA = "MEDIA"  # not a usable video: fetched once more, then given up


class ClipFailure(Exception):  # noqa: N818 - named for what happened to the clip
    """A clip could not be collected.

    Attributes:
        failure_class: what follows from it.
        message: one line, without secrets.
        http_status: the server's answer, where there was one.
        retry_after_s: how long the server asks to stay away.
    """

    def __init__(
        self,
        failure_class: FailureClass,
        message: str,
        http_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.message = message
        self.http_status = http_status
        self.retry_after_s = retry_after_s

    # Exceptions that cross a process are rebuilt from their arguments.
    def __reduce__(self) -> tuple[type[ClipFailure], tuple[FailureClass, str, int | None, float | None]]:
        return ClipFailure, (self.failure_class, self.message, self.http_status, self.retry_after_s)


# yt-dlp has one exception type for everything that a site says in words, so for those (and for those only) its
# text is read. Order matters: "Private video. Sign in if you've been granted access" is gone, not a sign-in wall,
# and "Sign in to confirm you're not a bot" is a rate limit.
_PHRASES: tuple[tuple[FailureClass, str], ...] = (
    # The downloader's mark for what it would retry: connections that break, short reads, 5xx.
    (FailureClass.NET, r"\[download\] got error"),
    (FailureClass.RATE, r"not a bot|captcha|rate.?limit|try again later|too many requests|unusual traffic"),
    (FailureClass.GEO, r"(in|from) your (country|region|location)|geo.?restrict|geo.?block"),
    (
        FailureClass.GONE,
        r"private video|video is private|removed|terminated|no longer (available|exists)|does ?n.t exist|does not exist"
        r"|\bDRM\b|copyright|been deleted|account .{0,40}closed",
    ),
    (
        FailureClass.AUTH,
        r"sign in|log ?in|registered users|confirm your age|age.restricted|inappropriate for some|members|cookies"
        r"|premium|purchase|payment|password",
    ),
    (FailureClass.TOOL, r"javascript|js runtime|nsig|signature|no video formats found|impersonat|po token"),
    (
        FailureClass.MEDIA,
        r"requested format is not available|did not get any data|live event|premieres? in|will begin|is not currently"
        r" live|is offline|file is empty",
    ),
    (FailureClass.GONE, r"unavailable|not available|not found"),
)

_OUT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}


def classify(error: BaseException) -> ClipFailure:
    """Return the failure class of what yt-dlp raised, from its exception types first and its words last.

    Raises:
        OSError: a fault of this machine (disk full, not writable, too many open files), which is no clip's failure.
    """
    from yt_dlp.networking.exceptions import (
        CertificateVerifyError,
        HTTPError,
        NoSupportingHandlers,
        TransportError,
        UnsupportedRequest,
    )
    from yt_dlp.utils import (
        ContentTooShortError,
        ExtractorError,
        GeoRestrictedError,
        RegexNotFoundError,
        UnsupportedError,
        YoutubeDLError,
    )

    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, ClipFailure):
            return link
        if isinstance(link, OSError) and link.errno in _OUT_OF_ROOM and not isinstance(link, ConnectionError):
            raise link
    text = one_line(error)
    for link in chain:
        if isinstance(link, GeoRestrictedError):
            return ClipFailure(FailureClass.GEO, text)
        if isinstance(link, HTTPError):
            return _of_status(link.status, text, link.response.headers.get("Retry-After"))
    for link in chain:
        if isinstance(link, CertificateVerifyError | NoSupportingHandlers | UnsupportedRequest):
            return ClipFailure(FailureClass.TOOL, text)
        if isinstance(link, TransportError | ContentTooShortError | TimeoutError | ConnectionError | socket.gaierror):
            return ClipFailure(FailureClass.NET, text)
    for link in chain:
        if isinstance(link, UnsupportedError):
            return ClipFailure(FailureClass.MEDIA, "no video: the page at this address shows none")
        if isinstance(link, RegexNotFoundError):
            return ClipFailure(FailureClass.TOOL, text)
        if isinstance(link, ExtractorError):
            return ClipFailure(_of_words(link.orig_msg, link.expected), text)
    if not isinstance(error, YoutubeDLError):
        # A defect of the downloader: this clip fails, the others continue.
        return ClipFailure(FailureClass.TOOL, f"the downloader broke off: {type(error).__name__}: {text}")
    # Errors during the transfer come as words only.
    status = re.search(r"HTTP Error (\d{3})\b", text)
    return ClipFailure(_of_words(text, expected=True), text, int(status[1]) if status else None)


def _of_status(status: int, text: str, retry_after: str | None) -> ClipFailure:
    pause = float(retry_after) if retry_after and retry_after.strip().isdigit() else None
    if status == 429 or (status == 503 and pause is not None):
        return ClipFailure(FailureClass.RATE, text, status, pause)
    if status in (404, 410):
        found = FailureClass.GONE
    elif status == 451:
        found = FailureClass.GEO
    elif status in (401, 402, 407):
        found = FailureClass.AUTH
    elif status >= 500 or status in (408, 425):
        found = FailureClass.NET
    else:
        found = FailureClass.TOOL
    return ClipFailure(found, text, status)


def _of_words(text: str, expected: bool) -> FailureClass:
    for failure_class, pattern in _PHRASES:
        if re.search(pattern, text, re.IGNORECASE):
            return failure_class
    # `expected` means that the site reported it; without it, yt-dlp assumes a bug of its own.
    return FailureClass.MEDIA if expected else FailureClass.TOOL


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and everything that it was made from, outermost first, each once."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        exc_info = getattr(link, "exc_info", None)
        inner = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
        waiting += [
            inner,
            getattr(link, "cause", None),
            getattr(link, "reason", None),
            link.__cause__,
            link.__context__,
        ]


# The downloader's messages address users of its own command line and name its own project.
_ADVICE = re.compile(
    r"report this|issue template|github\.com/yt-dlp|yt-dlp -|you are on the latest version|(^|[\s(`'\"])--[a-z]"
    r"|believe this is an error",
    re.IGNORECASE,
)


def one_line(error: BaseException) -> str:
    """Return yt-dlp's message on one line, without colours, secrets and advice on how to use or report yt-dlp.

    A message that is nothing but advice is replaced by the name of the exception.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ").strip()
    text = re.split(r"\(caused by ", text)[0]
    message = ""
    # Sentences and clauses; in addresses and names no space follows a full stop.
    for part in re.split(r"\s*\n\s*|(?<=[.!?])\s+|\s*;\s+|,\s+(?=please report)", text):
        if part and not _ADVICE.search(part):
            message += ("" if not message else " " if message[-1] in ".!?:" else "; ") + part
    return redacted(message or type(error).__name__)[:500]
