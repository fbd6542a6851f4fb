"""The breaker: once a source said "too many requests", nothing is downloaded for a while, across runs."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from pathlib import Path

from ssat.workspace import committed


class Breaker:
    """Open while downloads have to pause. Kept in a file, so that starting again does not shorten the pause."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._until, self._reason = _read(path)
        except FileNotFoundError:
            self._until, self._reason = 0.0, ""
        except (OSError, ValueError, KeyError, TypeError):
            # Better an hour lost than a ban: what cannot be read counts as just opened.
            self._until, self._reason = time.time() + 3600, "unreadable breaker file"

    def open(self, seconds: float, reason: str) -> None:
        """Pause for `seconds` from now; a longer pause that already runs stays."""
        with self._lock:
            self._until = max(self._until, time.time() + seconds)
            self._reason = reason
            with committed(self._path) as temporary:
                temporary.write_text(json.dumps({"until": self._until, "reason": reason}), encoding="utf-8")

    def pause(self) -> str:
        """Why and until when nothing may be downloaded; empty when downloads may go on."""
        if time.time() >= self._until:
            return ""
        until = datetime.fromtimestamp(self._until).astimezone()
        return f"too many requests ({self._reason}): downloads pause until {until:%Y-%m-%d %H:%M}; run again after that"


def _read(path: Path) -> tuple[float, str]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return float(content["until"]), str(content["reason"])
