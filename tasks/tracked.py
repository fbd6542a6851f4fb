"""Record of tracked inputs: finished ones are kept, incomplete files may be replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ssat.file_names import SEQUENCE_INFO
from ssat.pipeline.settings import TrackSettings
from ssat.workspace import Workspace, committed
from tasks.track import TrackedInput

if TYPE_CHECKING:
    from ssat.pipeline.inputs import TrackInput


@dataclass(frozen=True)
class _Note:
    """Inputs of the results, sizes and times of their files, and the result; None if tracking ended early."""

    key: str
    files: dict[str, list[int]]
    result: TrackedInput | None


@dataclass
class TrackedRecord:
    """The workspace's note about the files of one input in one folder of results.

    Args:
        workspace: keeps the note.
        outputs: the files that tracking the input writes; the first names the note.
        key: what the results depend on; see `track_key`.
    """

    workspace: Workspace
    outputs: Sequence[Path]
    key: str
    _before: dict[str, list[int]] = field(default_factory=dict, init=False)

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(str(self.outputs[0].absolute()).encode()).hexdigest()[:32]
        return self.workspace.cache / "tracked" / f"{name}.json"

    def finished(self) -> TrackedInput | None:
        """Return the result, if the same input was tracked by the same settings and its files are as they were left."""
        found = self._read()
        if found is None or found.key != self.key:
            return None
        files = self._files()
        return found.result if files and files == found.files else None

    def may_be_replaced(self) -> bool:
        """Return whether the existing files were left by tracking that ended early and are unchanged since."""
        found = self._read()
        files = self._files()
        return found is not None and found.result is None and bool(files) and files == found.files

    def watch(self) -> None:
        """Look at the files before tracking begins."""
        self._before = self._files()

    def ended_early(self) -> None:
        """Note that tracking left files that are complete up to where it ended; files that it did not touch are not
        its own."""
        if self._files() != self._before:
            self._write(None)

    def write(self, result: TrackedInput) -> None:
        """Note a result."""
        self._write(result)

    def _write(self, result: TrackedInput | None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {"key": self.key, "files": self._files(), "result": None if result is None else result.as_json()}
        with committed(self._path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    def _files(self) -> dict[str, list[int]]:
        stats = {path: path.stat() for path in self.outputs if path.is_file()}
        return {str(path.absolute()): [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()}

    def _read(self) -> _Note | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            result = None if found["result"] is None else TrackedInput.from_json(found["result"])
            return _Note(found["key"], found["files"], result)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # no note, or one that a crash spoiled: tracked again


def track_key(opened: TrackInput, given: str, settings: TrackSettings, digests: Sequence[str | None]) -> str:
    """Return SHA-256 of all that the results depend on: settings, networks; name, size and time of the input files.

    Args:
        opened: the input.
        given: the input as it was named.
        settings: all settings of the command.
        digests: of embedder and detectors.
    """
    digest = hashlib.sha256(settings.model_dump_json().encode())
    digest.update(repr(digests).encode())
    path = Path(given).expanduser()
    files = [path, path / SEQUENCE_INFO, path / "det" / (settings.detections or "det.txt")]
    files += list(getattr(opened.source, "paths", ()))
    if settings.detections is not None:
        files.append(Path(settings.detections).expanduser())
    for file in files:
        if file.exists():
            stat = file.stat()
            digest.update(f"{file.absolute()} {stat.st_size if file.is_file() else 0} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
