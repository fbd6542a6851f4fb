"""The embedded databases: paths of any characters, locks, damage, other versions, and a workspace that was moved."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import run
from ssat.errors import ServiceError
from ssat.workspace import Workspace
from tasks import doctor
from tasks.databases import check_database, mlflow_schema, prefect_schema, relocate_artifacts, sqlite_file, sqlite_url
from tasks.mlflow_run import mlflow_run
from tasks.prefect_server import PrefectServer
from tasks.services import mlflow_session

NAMES = ["a b", "100%", "a%20b", "why?", "a?b=c&d", "no#1", "me@home:x", "größe", "a%3Fb", "+plus"]
HOLDS_A_LOCK = (
    "import sqlite3, sys, time\n"
    "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "connection.execute('BEGIN EXCLUSIVE')\n"
    "print('locked', flush=True)\n"
    "time.sleep(600)\n"
)


@pytest.fixture(autouse=True)
def no_named_services(monkeypatch):
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A workspace with one run and its artifact; tests work on copies."""
    workspace = Workspace.open(tmp_path_factory.mktemp("recorded") / "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with mlflow_run(workspace, "e", "r", system_metrics=False) as reporter:
            reporter.text("of the first place", "note.txt")
    return workspace, reporter.run_id


@pytest.fixture
def copy(recorded, tmp_path):
    """A copy of the recorded workspace at another place, and the run's id."""
    shutil.copytree(recorded[0].root, tmp_path / "copy")
    return Workspace.open(tmp_path / "copy"), recorded[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("driver", ["", "aiosqlite"])
def test_the_address_of_a_database_means_its_file(tmp_path, name, driver):
    from sqlalchemy import make_url

    file = tmp_path / name / "x.db"
    assert make_url(sqlite_url(file, driver)).database == str(file)
    assert sqlite_file(sqlite_url(file, driver)) == file


@pytest.mark.parametrize("name", NAMES)
def test_mlflow_keeps_runs_and_artifacts_in_a_workspace_of_any_name(tmp_path, name):
    import mlflow

    workspace = Workspace.open(tmp_path / name)
    with mlflow_session(workspace) as uri, mlflow_run(workspace, "e", "r", system_metrics=False) as reporter:
        reporter.text("hello", "folder/note.txt")
        reporter.flush()
        assert (
            Path(mlflow.MlflowClient(uri).download_artifacts(reporter.run_id, "folder/note.txt")).read_text() == "hello"
        )
    assert (workspace.mlflow / "artifacts" / reporter.run_id / "artifacts" / "folder" / "note.txt").is_file()
    assert (workspace.mlflow / "mlflow.db").is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.integration
@pytest.mark.parametrize("name", ["a%20b?c#d e"])
def test_both_pages_and_prefect_open_a_workspace_of_any_name(tmp_path, name):
    from tasks.addresses import http_status
    from tasks.pages import pages

    workspace = Workspace.open(tmp_path / name)
    with pages(workspace) as addresses:
        assert http_status(f"{addresses.prefect}/api/health") == 200
        assert http_status(f"{addresses.mlflow}/health") == 200
    assert (workspace.root / "prefect" / "prefect.db").is_file()
    assert (workspace.mlflow / "mlflow.db").is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def _prefect_database(folder: Path) -> Path:
    """A database that says it is of Prefect's present revision."""
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "prefect.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (prefect_schema().head,))
    return folder / "prefect.db"


def test_a_locked_database_is_named_with_the_process_that_locks_it(copy, capfd):
    workspace, _ = copy
    for file in (workspace.mlflow / "mlflow.db", _prefect_database(workspace.root / "prefect")):
        holder = subprocess.Popen([sys.executable, "-c", HOLDS_A_LOCK, file], stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == "locked\n"
            service = "MLflow" if file.name == "mlflow.db" else "Prefect"
            with pytest.raises(
                ServiceError, match=f"^{service}: .*locked by process {holder.pid} .*run again"
            ) as caught:
                _open(workspace, service)
            assert "unset" not in str(caught.value)
            assert doctor.databases(workspace.root).state == "bad"
        finally:
            holder.kill()
            holder.communicate()
    assert doctor.databases(workspace.root).state == "ok"
    assert capfd.readouterr() == ("", "")


def _open(workspace: Workspace, service: str) -> None:
    if service == "MLflow":
        with mlflow_session(workspace):
            pytest.fail("opened")
    PrefectServer(workspace.root / "prefect").start()


def _garbage(file: Path) -> None:
    file.write_bytes(b"not a database " * 1000)


def _overwritten(file: Path) -> None:
    """Pages in the middle are lost; the header is whole."""
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(bytes(16) + b"\xff" * (file.stat().st_size // 2))


def _cut(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def _newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (_garbage, "is damaged .*Restore a copy"),
        (_overwritten, "is damaged .*Restore a copy"),
        (_cut, "is damaged .*Restore a copy"),
        (_newer, "newer version .*ffffffffffff"),
        (_folder, "cannot be opened"),
    ],
)
@pytest.mark.parametrize("service", ["MLflow", "Prefect"])
def test_the_first_line_says_why_a_database_cannot_be_used(copy, capfd, with_roster, spoil, cause, service):
    workspace, _ = copy
    file = workspace.mlflow / "mlflow.db"
    if service == "Prefect":
        (workspace.root / "prefect").mkdir()
        if spoil is _newer:
            shutil.rmtree(workspace.root / "prefect")
            file = _prefect_database(workspace.root / "prefect")
        else:
            file = Path(shutil.copy(file, workspace.root / "prefect" / "prefect.db"))
    spoil(file)
    before = file.read_bytes() if file.is_file() else b""
    if service == "MLflow":
        with pytest.raises(ServiceError, match=cause), mlflow_run(workspace, "e", "r"):
            pytest.fail("recorded")
        assert run(["promote", "0" * 32, "--workspace", str(workspace.root)]) == 2
    else:
        assert run(["decode", "--workspace", str(with_roster(workspace.root))]) == 2
    errors = capfd.readouterr().err
    assert errors.splitlines()[0].startswith(f"ssat: error: {service}: {file} ")
    assert "unset" not in errors
    assert (file.read_bytes() if file.is_file() else b"") == before


def test_an_older_mlflow_database_comes_with_the_command_that_migrates_it(copy):
    workspace, _ = copy
    older = sorted(mlflow_schema().known - {mlflow_schema().head})[0]
    with sqlite3.connect(workspace.mlflow / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (older,))
    with pytest.raises(ServiceError, match=r"older version .*mlflow db upgrade 'sqlite:///.*mlflow\.db'"):
        check_database(workspace.mlflow / "mlflow.db", mlflow_schema())


def test_the_revisions_are_those_that_the_services_write(copy):
    workspace, _ = copy
    with sqlite3.connect(workspace.mlflow / "mlflow.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone()[0] == mlflow_schema().head
    assert prefect_schema().head in prefect_schema().known


@pytest.mark.parametrize("name", ["second", "a%20b c#1?"])
@pytest.mark.parametrize("moved", [True, False])
def test_a_workspace_elsewhere_reads_old_runs_and_writes_new_ones_there(recorded, tmp_path, name, moved):
    import mlflow

    first = Workspace.open(tmp_path / "first")
    shutil.copytree(recorded[0].root, first.root, dirs_exist_ok=True)
    with mlflow_run(first, "e", "r", system_metrics=False) as before:
        before.text("old", "note.txt")
    (shutil.move if moved else shutil.copytree)(first.root, tmp_path / name)
    workspace = Workspace.open(tmp_path / name)
    with mlflow_run(workspace, "e", "r", system_metrics=False) as after:
        after.text("new", "note.txt")
    client = mlflow.MlflowClient(sqlite_url(workspace.mlflow / "mlflow.db"))
    for run_id, text in ((before.run_id, "old"), (after.run_id, "new")):
        place = workspace.mlflow / "artifacts" / run_id / "artifacts" / "note.txt"
        assert place.read_text() == text
        if moved:
            assert Path(client.download_artifacts(run_id, "note.txt")).read_text() == text
            assert client.get_run(run_id).info.artifact_uri == place.parent.as_uri()
    assert moved != first.root.exists()
    if not moved:
        assert not (first.mlflow / "artifacts" / after.run_id).exists()
    assert relocate_artifacts(workspace.mlflow / "mlflow.db", workspace.mlflow / "artifacts") == 0


def test_artifacts_that_only_the_old_place_has_stay_readable_there(copy, recorded):
    """Written there by a version that did not notice the move."""
    import mlflow

    workspace, run_id = copy
    shutil.rmtree(workspace.mlflow / "artifacts" / run_id)
    assert relocate_artifacts(workspace.mlflow / "mlflow.db", workspace.mlflow / "artifacts") > 0
    client = mlflow.MlflowClient(sqlite_url(workspace.mlflow / "mlflow.db"))
    assert Path(client.download_artifacts(run_id, "note.txt")).read_text() == "of the first place"
