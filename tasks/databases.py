"""The SQLite databases of the embedded Prefect and MLflow: their addresses and checks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ssat.errors import ServiceError

_LOCKED_AFTER_S = 5.0
_MAX_CHECK_SECONDS = 2.0
# Rows of MLflow's database with a path below the artifact folder: table, key, column, and whether old paths
# are kept if only they have the files. New runs write to the path of their experiment.
_PLACES = (
    ("experiments", "experiment_id", "artifact_location", False),
    ("runs", "run_uuid", "artifact_uri", True),
    ("logged_models", "model_id", "artifact_location", True),
    ("model_versions", "rowid", "source", True),
    ("model_versions", "rowid", "storage_location", True),
)


@dataclass(frozen=True)
class Schema:
    """The alembic revisions of a database: what is installed knows `known` and writes `head`."""

    service: str
    package: str
    known: frozenset[str]
    head: str
    migrates_itself: bool


def prefect_schema() -> Schema:
    """Return the schema revision of Prefect's database, which its server migrates at the start."""
    known, head = _revisions("prefect", "server/database/_migrations/versions/sqlite")
    return Schema("Prefect", "prefect", known, head, migrates_itself=True)


def mlflow_schema() -> Schema:
    """Return the schema revision of MLflow's tracking database, which MLflow requires exactly."""
    known, head = _revisions("mlflow", "store/db_migrations/versions")
    return Schema("MLflow", "mlflow", known, head, migrates_itself=False)


def _revisions(package: str, folder: str) -> tuple[frozenset[str], str]:
    """Return all revisions and the last one, read from the migrations' text: importing the package takes seconds."""
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    known, earlier = set(), set()
    for place in places:
        for file in (Path(place) / folder).glob("*.py"):
            text = file.read_text(encoding="utf-8", errors="replace")
            if found := re.search(r"""^revision(?:: *\w+)? *= *["'](\w+)["']""", text, re.MULTILINE):
                known.add(found[1])
            if line := re.search(r"^down_revision[^=\n]*=(.*)$", text, re.MULTILINE):
                earlier.update(re.findall(r"""["'](\w+)["']""", line[1]))
    heads = sorted(known - earlier)
    return frozenset(known), heads[0] if len(heads) == 1 else ""


def sqlite_url(file: Path, driver: str = "") -> str:
    """SQLAlchemy's address of a database file, for a path of any characters.

    SQLAlchemy decodes %xx in the path. MLflow makes the folder of an address that begins with `sqlite:///` without
    decoding it; with the driver named it leaves that to us.
    """
    if "%" not in str(file) and "?" not in str(file):
        return f"sqlite{'+' if driver else ''}{driver}:///{file}"
    return f"sqlite+{driver or 'pysqlite'}:///{quote(str(file))}"


def is_sqlite(url: str) -> bool:
    """Return whether an address names a SQLite database, with or without a driver."""
    return url.partition(":")[0].split("+")[0] == "sqlite"


def sqlite_file(url: str) -> Path | None:
    """Return the file that a `sqlite:` address names; None for another address and for a database in memory."""
    scheme, separator, rest = url.partition(":///")
    path = unquote(rest.split("?")[0])
    if not is_sqlite(scheme) or not separator or not path or path.startswith((":memory:", "file:")):
        return None
    return Path(path)


def check_database(file: Path, schema: Schema) -> None:
    """Open a SQLite database as its service will, and leave it as it was. A file that is missing is made later.

    Raises:
        ServiceError: it is locked by another process, damaged, not writable, or of a schema that the installed
            version cannot use. Says what to do.
    """
    if not file.exists():
        return
    where = f"{schema.service}: {file}"
    try:
        with contextlib.closing(sqlite3.connect(str(file), timeout=_LOCKED_AFTER_S)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            problem = _damage(connection)
            revision = _revision(connection)
    except sqlite3.OperationalError as error:
        raise ServiceError(_explained(where, file, str(error))) from error
    except sqlite3.DatabaseError as error:
        problem, revision = str(error), None
    if problem:
        raise ServiceError(f"{where} is damaged ({problem}). {_replace(schema)}")
    if revision is None or revision == schema.head or not schema.known:
        return
    version = importlib.metadata.version(schema.package)
    if revision not in schema.known:
        raise ServiceError(
            f"{where} was written by a newer version of {schema.service}: schema revision {revision} is unknown to the "
            f"installed {schema.service} {version}. Update ssat, or give another folder with --workspace"
        )
    if not schema.migrates_itself:
        raise ServiceError(
            f"{where} was written by an older version of {schema.service}; {version} needs it migrated. Copy the file, "
            f"then run: {schema.package} db upgrade '{sqlite_url(file)}'"
        )


def _damage(connection: sqlite3.Connection) -> str:
    """Return the first problem that SQLite finds within two seconds; an empty text if it finds none."""
    deadline = time.monotonic() + _MAX_CHECK_SECONDS
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 20_000)
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return ""
    finally:
        connection.set_progress_handler(None, 0)
    return "" if found == "ok" else " ".join(found.split())


def _revision(connection: sqlite3.Connection) -> str | None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _explained(where: str, file: Path, error: str) -> str:
    if "locked" in error:
        holders = ", ".join(_holders(file)) or "another process"
        return f"{where} is locked by {holders}. Wait until that has ended, or end it, then run again"
    if "readonly" in error:
        return f"{where} cannot be written. Give yourself the right to write it, or another folder with --workspace"
    if "full" in error:
        return f"{where}: the disk is full. Free some space, then run again"
    return f"{where} cannot be opened ({error}); expected a file that you may read and write"


def _replace(schema: Schema) -> str:
    holds = "the record of flow runs" if schema.service == "Prefect" else "recorded runs and registered embedders"
    return (
        f"It holds {holds}; clips, frames and trained networks are kept elsewhere. Restore a copy of the file, or move "
        "it and the files of the same name with -wal and -shm away: a new one is made"
    )


def _holders(file: Path) -> Iterator[str]:
    """Yield the processes that hold locks on the database, where the system tells (Linux)."""
    import psutil

    inodes = {str(part.stat().st_ino) for part in (file, Path(f"{file}-shm")) if part.exists()}
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    holders = set()
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[5].rpartition(":")[2] in inodes and fields[4].isdigit() and fields[4] != "0":
            holders.add(int(fields[4]))
    for number in sorted(holders):
        try:
            yield f"process {number} ({psutil.Process(number).name()})"
        except psutil.Error:
            yield f"process {number}"


def relocate_artifacts(database: Path, artifacts: Path) -> int:
    """Write the present artifact folder into MLflow's database where the workspace was moved; the rows changed.

    MLflow notes absolute addresses. Those of experiments always become the present folder, so that new runs write
    there; those of runs and models stay where only the old folder has their files.
    """
    if not database.is_file():
        return 0
    root, changed = artifacts.as_uri(), 0
    with contextlib.closing(sqlite3.connect(str(database), timeout=_LOCKED_AFTER_S)) as connection, connection:
        for table, key, column, keep in _PLACES:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            if column not in columns:
                continue
            query = f"SELECT {key}, {column} FROM {table} WHERE {column} LIKE '%/mlflow/artifacts%'"  # noqa: S608
            updates = []
            for row, place in connection.execute(query):
                before, marker, rest = str(place).rpartition("/mlflow/artifacts")
                old = f"{before}{marker}"
                if old in (root, str(artifacts)) or (rest and not rest.startswith("/")) or not _is_local(old):
                    continue
                if keep and _path(f"{old}{rest}").exists() and not _path(f"{root}{rest}").exists():
                    continue
                updates.append((f"{root}{rest}", row))
            connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", updates)  # noqa: S608
            changed += len(updates)
    return changed


def _is_local(place: str) -> bool:
    return place.startswith(("/", "file:"))


def _path(place: str) -> Path:
    return Path(unquote(urlsplit(place).path)) if place.startswith("file:") else Path(place)
