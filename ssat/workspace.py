"""The folders and files of one experiment, and the commit of a file."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ssat.errors import InputError, WorkspaceError
from ssat.file_names import ROSTER
from ssat.remote import AnyPath, RemotePath, is_remote


@dataclass(frozen=True)
class Workspace:
    """The folders of one workspace. Each stage owns one; a stage reads the folders of earlier stages only."""

    root: Path
    remote: RemotePath | None = None  # object store of clips and frames, if any; `root` is scratch space then
    scratch_root: Path | None = None  # folder of the services' files, for a read-only workspace

    @classmethod
    def open(cls, root: str | Path, *, objects: bool = False, read_only: bool = False) -> Workspace:
        """Return the workspace at `root`, created if it is missing.

        Args:
            root: a folder.
            objects: s3:// addresses are taken as well.
            read_only: a folder that exists and cannot be written is taken as well; files of the services then go to a
                temporary folder that is removed when this process ends.

        Raises:
            WorkspaceError: the folder cannot be made or written, or the object store does not answer.
            InputError: an s3:// address where `objects` is not set.
        """
        if is_remote(root):
            if not objects:
                raise InputError(
                    f"workspace {root}: this needs a folder of a file system; an object store may hold clips and "
                    "frames for `ssat decode` and `ssat verify`"
                )
            remote = RemotePath(str(root))
            remote.check()
            digest = hashlib.sha256(str(remote).encode()).hexdigest()[:16]
            scratch = Path(os.environ.get("SSAT_SCRATCH") or "~/.cache/ssat").expanduser() / digest
            return cls(cls.open(scratch).root, remote)
        path = Path(root).expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            if read_only and path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                return cls(path, scratch_root=_temporary_folder())
            raise WorkspaceError(
                f"workspace {path}: not writable ({error.strerror}); give another folder with setting `workspace`, "
                "or set SSAT_WORKSPACE"
            ) from error
        return cls(path)

    @property
    def address(self) -> str:
        """What `open` takes to open it again."""
        return str(self._base)

    @property
    def clips(self) -> Path:
        """Trimmed clips, the roster and the status table."""
        return self.root / "clips"

    @property
    def frames(self) -> AnyPath:
        """The Parquet frame store."""
        return self._base / "frames"

    @property
    def roster(self) -> AnyPath:
        """The roster's file."""
        return self._base / ROSTER

    @property
    def _base(self) -> AnyPath:
        return self.remote or self.root

    @property
    def scratch(self) -> Path:
        """Folder of the decoding lock and of unfinished shards: with the frames, or on this machine."""
        return self.root / "frames"

    @property
    def services(self) -> Path:
        """Folder of the files of the embedded services."""
        return self.scratch_root or self.root

    @property
    def training(self) -> Path:
        """Checkpoints and embedders, a folder per training."""
        return self.root / "training"

    @property
    def benchmark(self) -> Path:
        """Result files, tables and videos, a folder per benchmark."""
        return self.root / "benchmark"

    @property
    def studies(self) -> Path:
        """Tables, figures and reports, a folder per study."""
        return self.root / "studies"

    @property
    def cache(self) -> Path:
        """Detections and features by content key; may be deleted at any time."""
        return self.root / "cache"

    @property
    def calibration(self) -> Path:
        """Folder of the medians that `ssat probe` stored for embedders without a file of their own."""
        return self.root / "calibration"

    @property
    def mlflow(self) -> Path:
        """The database and artifacts of the embedded tracking server."""
        return self.services / "mlflow"

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
        """Return the file that `relative` names. Raises WorkspaceError if it would leave the workspace."""
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root):
            raise WorkspaceError(f"{relative}: would leave the workspace {self.root}")
        return path

    def absolute_files(self, relatives: Iterable[str]) -> list[str]:
        """Return `absolute` of very many files: their folders are resolved once each, links of the files are not."""
        folders: dict[str, str] = {}
        files = []
        for relative in relatives:
            folder, _, name = relative.rpartition("/")
            if name in ("", ".", "..") or relative.startswith("/"):
                raise WorkspaceError(f"{relative}: would leave the workspace {self.root}")
            if folder not in folders:
                folders[folder] = str(self.absolute(folder))
            files.append(f"{folders[folder]}/{name}")
        return files

    def located(self, relatives: Sequence[str]) -> list[AnyPath]:
        """Return `absolute_files`, also for files in the object store."""
        if self.remote is None:
            return [Path(file) for file in self.absolute_files(relatives)]
        for relative in relatives:
            if relative.startswith("/") or ".." in relative.split("/"):
                raise WorkspaceError(f"{relative}: would leave the workspace {self.remote}")
        return [self.remote / relative for relative in relatives]


@functools.cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="ssat-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def committed(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary name next to `path` to write to; then sync and rename it, or remove it after an error.

    A reader therefore sees the old file, the new file, or none: never a half. An object is written from a local file.
    """
    if isinstance(path, RemotePath):
        with tempfile.TemporaryDirectory(prefix="ssat-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            path.upload(temporary)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: encoders and Parquet writers choose the format by it.
    # The token distinguishes writers on different machines, whose process numbers may be the same.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(3)}.partial{path.suffix}")
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


def sha256_of(path: AnyPath) -> str:
    """Return hexadecimal SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
