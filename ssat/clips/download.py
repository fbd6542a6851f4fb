"""One video from one URL, by yt-dlp: a single small file, no playlist, no merge, nothing of the user's own set-up."""

from __future__ import annotations

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

# The smallest video-only stream of at least the wanted size; where sizes are not told (a plain file) what there is.
_FORMAT = "wv[height>={side}][width>={side}]/w[height>={side}][width>={side}]/bv/b/bv*"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class DownloadSettings:
    """How yt-dlp is used. Secrets stand in `repr=False` fields and in no message."""

    min_side: int
    max_bytes: int
    socket_timeout: float
    proxy: str | None = None
    cookies: str | None = None
    user_agent: str | None = None

    @classmethod
    def of(cls, settings: CollectSettings) -> DownloadSettings:
        """From the stage's settings; secrets that are not set there from SSAT_PROXY, SSAT_COOKIES, SSAT_USER_AGENT."""

        def secret(name: str) -> str | None:
            value = getattr(settings, name)
            return value.get_secret_value() if value else os.environ.get(f"SSAT_{name.upper()}") or None

        cookies = secret("cookies")
        if cookies and not os.access(cookies, os.R_OK):
            raise InputError("the cookie file (setting cookies or SSAT_COOKIES) cannot be read")
        return cls(
            min_side=settings.short_side,
            max_bytes=settings.max_mib << 20,
            socket_timeout=settings.socket_timeout,
            proxy=secret("proxy"),
            cookies=cookies,
            user_agent=secret("user_agent"),
        )

    def __repr__(self) -> str:
        return f"DownloadSettings(min_side={self.min_side}, max_bytes={self.max_bytes})"

    def redacted(self, text: str) -> str:
        """`text` without the secrets."""
        for value in (self.proxy, self.cookies, self.user_agent):
            if value:
                text = text.replace(value, "***")
        return text


def tool_version() -> str:
    """The downloader and its version, as the status table records it."""
    from yt_dlp.version import __version__

    return f"yt-dlp {__version__}"


def is_youtube(url: str) -> bool:
    """Whether YouTube serves this URL, whose request rate is limited."""
    host = (urlsplit(url).hostname or "").removeprefix("www.").removeprefix("m.")
    return host in ("youtube.com", "youtu.be", "youtube-nocookie.com")


def download(url: str, folder: Path, settings: DownloadSettings, stopped: Callable[[], bool] = lambda: False) -> Path:
    """Download the video behind `url` into the empty `folder` and return its file.

    A file that an earlier attempt left half in `folder` is continued.

    Raises:
        ClipFailure: with its class; the message names no secret.
        Stopped: `stopped` became true.
        OSError: a fault of this machine, such as a full disk.
    """
    import yt_dlp
    from yt_dlp.networking.exceptions import network_exceptions
    from yt_dlp.utils import YoutubeDLError

    def watch(progress: dict[str, Any]) -> None:
        if stopped():
            raise Stopped
        size = max(progress.get("downloaded_bytes") or 0, progress.get("total_bytes") or 0)
        if size > settings.max_bytes:
            raise ClipFailure(
                FailureClass.MEDIA, f"larger than the limit of {settings.max_bytes >> 20} MiB (setting max_mib)"
            )

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with yt_dlp.YoutubeDL(_options(url, folder, settings) | {"progress_hooks": [watch]}) as downloader:
            downloader.extract_info(url, download=True)
    except (YoutubeDLError, ClipFailure, OSError, *network_exceptions) as error:
        failure = classify(error)
        raise ClipFailure(
            failure.failure_class, settings.redacted(failure.message), failure.http_status, failure.retry_after_s
        ) from None  # the original carries request headers
    files = [path for path in folder.iterdir() if path.suffix not in (".part", ".ytdl")]
    if not files:
        raise ClipFailure(FailureClass.MEDIA, "nothing was downloaded")
    return max(files, key=lambda path: path.stat().st_size)


@contextmanager
def opened_url(url: str, settings: DownloadSettings) -> Iterator[IO[bytes]]:
    """The content behind `url` as a stream, with the same proxy, cookies and user agent as downloads.

    Raises:
        ClipFailure: it cannot be had, also while the block reads it; the message names no secret.
    """
    import yt_dlp
    from yt_dlp.networking import Request
    from yt_dlp.networking.exceptions import network_exceptions
    from yt_dlp.utils import YoutubeDLError

    try:
        with (
            yt_dlp.YoutubeDL(_options(url, Path(), settings)) as downloader,
            # Identity: an archive that is compressed arrives as it is, and its length can be checked.
            downloader.urlopen(Request(url, headers={"Accept-Encoding": "identity"})) as response,
        ):
            yield response
    except (YoutubeDLError, *network_exceptions) as error:
        failure = classify(error)
        raise ClipFailure(
            failure.failure_class, settings.redacted(failure.message), failure.http_status, failure.retry_after_s
        ) from None  # the original carries request headers


def _options(url: str, folder: Path, settings: DownloadSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": _FORMAT.format(side=settings.min_side),
        "paths": {"home": str(folder)},
        "outtmpl": {"default": "video.%(ext)s"},
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
        # As a stream: yt-dlp would write the user's file anew, from every thread.
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
