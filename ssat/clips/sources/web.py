"""Videos by their address, fetched by yt-dlp: YouTube, which counts requests, and plain web servers."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import urlsplit

from ssat.clips.download import DownloadSettings, download, is_youtube, tool_version
from ssat.clips.egress import Egress
from ssat.clips.lists import Candidate
from ssat.clips.sources import Stopped, Video
from ssat.redaction import without_credentials


class WebSource:
    """The address that the list gives, or the one that `template` makes of the clip id."""

    network = True

    def __init__(self, settings: DownloadSettings, egress: Egress, template: str | None = None) -> None:
        self._settings = settings
        self._egress = egress
        self._template = template
        self.name = "listed addresses" if template is None else urlsplit(without_credentials(template)).netloc
        self.tool = tool_version()

    def address(self, candidate: Candidate) -> str | None:
        if self._template is not None:
            return self._template.replace("{clip_id}", candidate.clip_id)
        return candidate.locator

    def fetch(self, candidate: Candidate, folder: Path, stopped: threading.Event) -> Video:
        url = self.address(candidate) or ""
        if is_youtube(url):
            self._egress.wait(stopped)
        # Another request may have been rate-limited while this one waited.
        if stopped.is_set() or self._egress.pause_s():
            raise Stopped
        path = download(url, folder, self._settings, stopped.is_set)
        return Video(path, candidate.start_s, candidate.end_s)
