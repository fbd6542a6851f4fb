"""Where everything of one experiment lies, and how a file is committed there."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ssat.errors import WorkspaceError


@dataclass(frozen=True)
class Workspace:
    """The folders of one workspace. Each stage owns one; a stage reads the folders of earlier stages only."""

    root: Path

    @classmethod
    def open(cls, root: str | Path) -> Workspace:
        """The workspace at `root`, created if it is missing.

        Raises:
            WorkspaceError: the folder cannot be made or written.
        """
        path = Path(root).expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise WorkspaceError(
                f"workspace {path}: not writable ({error.strerror}); give another folder with --workspace, "
                "or set SSAT_WORKSPACE"
            ) from error
        return cls(path)

    @property
    def clips(self) -> Path:
        """Trimmed clips, the roster and the status table."""
        return self.root / "clips"

    @property
    def frames(self) -> Path:
        """The Parquet frame store."""
        return self.root / "frames"

    @property
    def training(self) -> Path:
        """Checkpoints and embedders, a folder per training."""
        return self.root / "training"

    @property
    def benchmark(self) -> Path:
        """Result files, tables and videos, a folder per benchmark."""
        return self.root / "benchmark"

    @property
    def cache(self) -> Path:
        """Detections and features by content key; may be deleted at any time."""
        return self.root / "cache"

    @property
    def mlflow(self) -> Path:
        """The SQLite database and artifacts of the embedded MLflow."""
        return self.root / "mlflow"

    def relative(self, path: Path) -> str:
        """`path` as it is written into tables and manifests: relative to the root, with forward slashes.

        Raises:
            WorkspaceError: the path lies outside the workspace.
        """
        resolved = path.resolve()
        if not resolved.is_relative_to(self.root):
            raise WorkspaceError(f"{path}: lies outside the workspace {self.root}")
        return resolved.relative_to(self.root).as_posix()

    def absolute(self, relative: str) -> Path:
        """The file that `relative` names. Raises WorkspaceError where it would leave the workspace."""
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root):
            raise WorkspaceError(f"{relative}: would leave the workspace {self.root}")
        return path


@contextmanager
def committed(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; on success it is synced and renamed, on error it is removed.

    A reader therefore sees the old file, the new file, or none: never a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: encoders and Parquet writers choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
