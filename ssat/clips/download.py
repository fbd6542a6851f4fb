"""One video from one URL, by yt-dlp: a single small file, no playlist, no merge, nothing of the user's own set-up."""

from __future__ import annotations

import codecs
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ssat.clips.failures import ClipFailure, FailureClass, classify
from ssat.clips.settings import CollectSettings
from ssat.clips.sources import Stopped
from ssat.errors import InputError
from ssat.redaction import redacted, secrets_of

# The smallest video-only stream of at least the wanted size; without known sizes (a plain file) the only one.
_FORMAT = "wv[height>={side}][width>={side}]/w[height>={side}][width>={side}]/bv/b/bv*"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# Bytes that suffice to distinguish a video from a page or a playlist.
_HEAD_BYTES = 1024
# One name for all files: the content decides the type. yt-dlp refuses names from addresses, such as video.php.
_FILE_NAME = "video.unknown_video"


@dataclass(frozen=True)
class DownloadSettings:
    """Settings of yt-dlp. Secrets are in `repr=False` fields and in no message."""

    min_side: int
    max_bytes: int
    socket_timeout: float
    proxy: str | None = None
    cookies: str | None = None
    user_agent: str | None = None

    @classmethod
    def of(cls, settings: CollectSettings) -> DownloadSettings:
        """Return the settings of the stage; unset secrets come from SSAT_PROXY, SSAT_COOKIES, SSAT_USER_AGENT."""

        def secret(name: str) -> str | None:
            value = getattr(settings, name)
            return value.get_secret_value() if value else os.environ.get(f"SSAT_{name.upper()}") or None

        cookies = secret("cookies")
        if cookies and not os.access(cookies, os.R_OK):
            raise InputError("the cookie file (setting cookies or SSAT_COOKIES) cannot be read")
        return cls(
            min_side=settings.short_side,
            max_bytes=settings.max_download_mib << 20,
            socket_timeout=settings.socket_timeout_seconds,
            proxy=secret("proxy"),
            cookies=cookies,
            user_agent=secret("user_agent"),
        )

    def __repr__(self) -> str:
        return f"DownloadSettings(min_side={self.min_side}, max_bytes={self.max_bytes})"

    def redacted(self, failure: ClipFailure) -> ClipFailure:
        """Return the failure without secrets in its message."""
        secrets = (self.proxy, self.cookies, self.user_agent, *secrets_of(self.proxy))
        message = redacted(failure.message, *secrets)
        return ClipFailure(failure.failure_class, message, failure.http_status, failure.retry_after_s)


def tool_version() -> str:
    """Return the downloader and its version, as the status table records it."""
    from yt_dlp.version import __version__

    return f"yt-dlp {__version__}"


def is_youtube(url: str) -> bool:
    """Return whether YouTube serves this URL, whose request rate is limited."""
    host = (urlsplit(url).hostname or "").removeprefix("www.").removeprefix("m.")
    return host in ("youtube.com", "youtu.be", "youtube-nocookie.com")


def download(url: str, folder: Path, settings: DownloadSettings, stopped: Callable[[], bool] = lambda: False) -> Path:
    """Download the video behind `url` into the empty `folder` and return its file.

    The first bytes of the content decide, not the name or the stated type: a page or a playlist goes to yt-dlp's
    extractors, anything else is downloaded as a file. A partial file of an earlier attempt is continued.

    Raises:
        ClipFailure: with its class; the message holds no secret.
        Stopped: `stopped` became true.
        OSError: a fault of this machine, such as a full disk.
    """
    import yt_dlp

    def watch(progress: dict[str, Any]) -> None:
        if stopped():
            raise Stopped
        size = max(progress.get("downloaded_bytes") or 0, progress.get("total_bytes") or 0)
        if size > settings.max_bytes:
            raise ClipFailure(
                FailureClass.MEDIA,
                f"larger than the limit of {settings.max_bytes >> 20} MiB (setting max_download_mib)",
            )

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with yt_dlp.YoutubeDL(_options(url, folder, settings) | {"progress_hooks": [watch]}) as downloader:
            if not is_youtube(url) and _is_file(downloader, url):
                downloader.process_ie_result(_file_at(url))
            else:
                downloader.extract_info(url, download=True)
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001 - a fault in one of 1,800 extractors costs its clip, not the others
        raise settings.redacted(classify(error)) from None  # the original carries request headers
    files = [path for path in folder.iterdir() if path.suffix not in (".part", ".ytdl")]
    if not files:
        raise ClipFailure(FailureClass.MEDIA, "nothing was downloaded")
    return max(files, key=lambda path: path.stat().st_size)


@contextmanager
def opened_url(url: str, settings: DownloadSettings) -> Iterator[IO[bytes]]:
    """Open the content of `url` as a stream, with the same proxy, cookies and user agent as downloads.

    Raises:
        ClipFailure: it cannot be had, also while the block reads it; the message names no secret.
    """
    import yt_dlp
    from yt_dlp.networking.exceptions import network_exceptions
    from yt_dlp.utils import YoutubeDLError

    try:
        with (
            yt_dlp.YoutubeDL(_options(url, Path(), settings)) as downloader,
            _response(downloader, url) as response,
        ):
            yield response
    except (YoutubeDLError, *network_exceptions) as error:
        raise settings.redacted(classify(error)) from None  # the original carries request headers


def _response(downloader: Any, url: str) -> Any:
    from yt_dlp.networking import Request

    # Identity encoding: the file arrives unchanged, and its length can be checked.
    return downloader.urlopen(Request(url, headers={"Accept-Encoding": "identity"}))


def _is_file(downloader: Any, url: str) -> bool:
    """Return whether the content of `url` is a file, by its first bytes, rather than a page or playlist.

    Raises:
        ClipFailure: there is no content, or a page that claims to be a video.
    """
    from yt_dlp.networking.exceptions import HTTPError

    try:
        with _response(downloader, url) as response:
            head = b""
            while len(head) < _HEAD_BYTES and (chunk := response.read(_HEAD_BYTES - len(head))):
                head += chunk
            stated = str(response.headers.get("Content-Type", "")).split(";")[0].strip().lower()
    except HTTPError:
        if has_extractor(url):
            return False  # its extractor may know another way than the page
        raise
    if not head:
        raise ClipFailure(FailureClass.MEDIA, "the server sent an empty file (0 bytes)")
    if not is_markup(head):
        return True
    if stated.startswith("video/") and not head.lstrip().startswith(b"#"):
        raise ClipFailure(FailureClass.MEDIA, f"the server sent a page of text as {stated}")
    return False


def has_extractor(url: str) -> bool:
    """Return whether yt-dlp has an extractor for the site of an address."""
    from yt_dlp.extractor import gen_extractor_classes

    return any(extractor.suitable(url) for extractor in gen_extractor_classes() if extractor.ie_key() != "Generic")


def _file_at(url: str) -> dict[str, Any]:
    """Return the facts of an extractor of yt-dlp about a file."""
    facts = {
        "id": "video",
        "title": "video",
        "ext": "unknown_video",
        "extractor": "generic",
        "extractor_key": "Generic",
    }
    return facts | {"url": url, "protocol": urlsplit(url).scheme}


def is_markup(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a page (HTML, XML), JSON or a playlist (M3U)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head.decode("utf-16", "replace").encode()
    head = head.removeprefix(codecs.BOM_UTF8)
    return head.lstrip().startswith((b"<", b"#EXTM3U", b"{", b"["))


def _options(url: str, folder: Path, settings: DownloadSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": _FORMAT.format(side=settings.min_side),
        "paths": {"home": str(folder)},
        "outtmpl": {"default": _FILE_NAME},
        "noplaylist": True,
        "playlist_items": "1",
        "quiet": True,
        "noprogress": True,
        "no_warnings": True,
        "logger": _Silence(),
        "cachedir": False,
        "usenetrc": False,
        "enable_file_urls": False,
        "allow_unplayable_formats": False,
        # Parts of playlists are fetched by yt-dlp itself: no other program is started for them.
        "external_downloader": {"default": "native"},
        "fixup": "never",
        "updatetime": False,
        "overwrites": True,
        "continuedl": True,
        # The collector counts attempts itself, so that the status table shows them.
        "retries": 0,
        "fragment_retries": 3,
        "skip_unavailable_fragments": False,
        "extractor_retries": 1,
        "file_access_retries": 0,
        "socket_timeout": settings.socket_timeout,
        "js_runtimes": {name: {} for name in ("deno", "node", "bun", "quickjs") if shutil.which(name)},
        "color": "no_color",
    }
    if urlsplit(url).hostname in _LOOPBACK:
        options["proxy"] = ""  # a mirror on this machine is not reached through a proxy
    elif settings.proxy:
        options["proxy"] = settings.proxy
    if settings.cookies:
        # As a stream: yt-dlp would write the user's file again, from every thread.
        options["cookiefile"] = io.StringIO(Path(settings.cookies).read_text(encoding="utf-8"))
    if settings.user_agent:
        options["http_headers"] = {"User-Agent": settings.user_agent}
    return options


class _Silence:
    """yt-dlp's messages end here: what matters arrives as an exception."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...
