"""A file or folder in an object store, with the few methods of pathlib.Path that the frame store needs."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ssat.errors import InputError, WorkspaceError

_CHUNK = 8 << 20


def is_remote(location: object) -> bool:
    """Return whether a location names an object store."""
    return str(location).startswith("s3://")


@functools.cache
def filesystem(bucket: str) -> Any:
    """Return the connection to a bucket, kept until `cache_clear`."""
    from pyarrow import fs

    # Address, region and keys of the store come from the environment (AWS_ENDPOINT_URL, AWS_REGION,
    # AWS_ACCESS_KEY_ID …) or the machine's role: stored addresses contain no secret.
    return fs.FileSystem.from_uri(f"s3://{bucket}")[0]


class RemotePath:
    """`s3://bucket/key`. Errors are OSErrors, as those of local files.

    An object appears when it is written completely, so there is no renaming: `upload` is the commit.
    """

    def __init__(self, uri: str) -> None:
        """Raises InputError where `uri` is no plain s3:// address."""
        parts = urlsplit(uri)
        key = PurePosixPath(parts.path.lstrip("/"))
        if parts.username or parts.password or parts.query or "@" in parts.netloc:
            raise InputError(
                "an s3:// address with keys or options in it is not taken, for it would be written into tables and "
                "logs; use AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
            )
        if parts.scheme != "s3" or not parts.netloc or ".." in key.parts:
            raise InputError(f"{uri}: expected s3://BUCKET/FOLDER")
        self._bucket = parts.netloc
        self._key = key

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"s3://{self._bucket}/{self._key / name}")

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._key}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        return self._key.name

    @property
    def suffix(self) -> str:
        return self._key.suffix

    @property
    def stem(self) -> str:
        return self._key.stem

    def with_suffix(self, suffix: str) -> RemotePath:
        return RemotePath(f"s3://{self._bucket}/{self._key.with_suffix(suffix)}")

    @property
    def _path(self) -> str:
        return f"{self._bucket}/{self._key}"

    def _info(self) -> Any:
        return filesystem(self._bucket).get_file_info(self._path)

    def is_file(self) -> bool:
        return bool(self._info().is_file)

    def stat(self) -> SimpleNamespace:
        """`st_size`. Raises FileNotFoundError."""
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(2, "no such object", str(self))
        return SimpleNamespace(st_size=int(info.size))

    def open(self, mode: str = "rb") -> Any:
        """Return the object as a seekable stream of bytes."""
        if mode != "rb":
            raise ValueError("objects are written by upload")
        return filesystem(self._bucket).open_input_file(self._path)

    def read_bytes(self) -> bytes:
        with self.open() as file:
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield objects directly below this folder whose names match."""
        from pyarrow import fs

        selector = fs.FileSelector(self._path, allow_not_found=True)
        for info in filesystem(self._bucket).get_file_info(selector):
            if info.is_file and fnmatch.fnmatch(info.base_name, pattern):
                yield self / info.base_name

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            filesystem(self._bucket).delete_file(self._path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def upload(self, source: Path) -> None:
        """Write the content of a local file as this object."""
        with source.open("rb") as file, filesystem(self._bucket).open_output_stream(self._path) as output:
            while chunk := file.read(_CHUNK):
                output.write(chunk)

    def download(self, target: Path) -> None:
        """Write this object's content to a local file."""
        with self.open() as file, target.open("wb") as output:
            while chunk := file.read(_CHUNK):
                output.write(chunk)

    def check(self) -> None:
        """Raise WorkspaceError unless the bucket can be looked into."""
        from pyarrow import fs

        try:
            found = filesystem(self._bucket).get_file_info(self._bucket)
        except OSError as error:
            raise WorkspaceError(f"{self}: the object store does not answer or refuses ({_short(error)})") from error
        if found.type is not fs.FileType.Directory:
            raise WorkspaceError(f"{self}: no bucket {self._bucket}; make it, or give another address")


AnyPath: TypeAlias = Path | RemotePath


def location(place: str | AnyPath) -> AnyPath:
    """Return a local path, or an object store's for an s3:// address."""
    if isinstance(place, RemotePath):
        return place
    return RemotePath(str(place)) if is_remote(place) else Path(place)


def readable(path: AnyPath) -> Any:
    """Return the argument from which pyarrow reads `path`."""
    return path.open("rb") if isinstance(path, RemotePath) else path


def _short(error: OSError) -> str:
    return " ".join(str(error).split())[:300]
