"""PostgreSQL from the distribution's packages: a cluster of its own in a folder, for Prefect and MLflow."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

DATABASES = ("prefect", "mlflow", "mlflow_auth")
USER = "ssat"
_SERVER_FOLDERS = "/usr/lib/postgresql"
# Names to run as where this process is root, which the server refuses to be.
_ACCOUNTS = ("postgres", "nobody")


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Debian keeps them out of the search path.

    Raises:
        FileNotFoundError: it is not installed.
    """
    newest = sorted(Path(_SERVER_FOLDERS).glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(newest[-1]) if newest else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"PostgreSQL: {name} is not installed; on Debian: apt-get install postgresql")
    return found


def account() -> str | None:
    """The account that the server runs as; None for this process's own."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise PermissionError(f"PostgreSQL does not run as root, and none of the accounts {', '.join(_ACCOUNTS)} exists")


def create_cluster(folder: Path, password: str) -> None:
    """A new cluster in `folder` whose only user is USER; nothing is done where there is one already.

    Raises:
        PermissionError: the server's account cannot reach the folder, or initdb fails.
    """
    if (folder / "PG_VERSION").exists():
        return
    user = account()
    shutil.rmtree(folder, ignore_errors=True)  # a cluster that was not finished
    folder.mkdir(parents=True, mode=0o700)
    secret = folder.with_name("postgres.password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    command = [program("initdb"), "--pgdata", str(folder), "--username", USER, "--pwfile", str(secret)]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"]
    made = subprocess.run(
        command, capture_output=True, text=True, user=user, group=user, extra_groups=[] if user else None, cwd="/"
    )
    secret.unlink()
    if made.returncode:
        raise PermissionError(
            f"PostgreSQL: no cluster could be made in {folder} by the account {user or 'of this process'}, which has "
            f"to be allowed to enter the folders above it: {made.stderr.strip()}"
        )


def command(folder: Path, port: int) -> list[str]:
    """The server on loopback, without a socket file."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "log_min_messages": "warning",
    }
    return [
        program("postgres"),
        "-D",
        str(folder),
        *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
    ]


def answers(port: int, password: str, database: str = "postgres") -> bool:
    """Return whether a query is answered. Raises OSError if no server listens."""
    import pg8000.native
    from pg8000.exceptions import DatabaseError, InterfaceError

    try:
        with pg8000.native.Connection(
            USER, host="127.0.0.1", port=port, database=database, password=password, timeout=10
        ) as connection:
            return connection.run("SELECT 1") == [[1]]
    except (DatabaseError, InterfaceError) as error:
        raise OSError(str(error)) from error


def create_databases(port: int, password: str) -> None:
    """DATABASES, those that are missing."""
    import pg8000.native

    with pg8000.native.Connection(
        USER, host="127.0.0.1", port=port, database="postgres", password=password
    ) as connection:
        present = {row[0] for row in connection.run("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in present:
                connection.run(f"CREATE DATABASE {name}")


def url(driver: str, database: str, port: int, password: str) -> str:
    """The SQLAlchemy address of a database."""
    return f"postgresql+{driver}://{USER}:{password}@127.0.0.1:{port}/{database}"
