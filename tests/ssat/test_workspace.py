import hashlib

import pytest

from ssat.errors import WorkspaceError
from ssat.workspace import Workspace, committed, sha256_of


def test_a_workspace_is_made_where_there_is_none(tmp_path):
    workspace = Workspace.open(tmp_path / "a" / "b")
    assert workspace.root.is_dir()
    assert Workspace.open(workspace.root) == workspace


def test_a_workspace_below_a_file_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"file/w: not writable \(Not a directory\); .*setting `workspace`"):
        Workspace.open(tmp_path / "file" / "w")


@pytest.mark.parametrize("outside", ["../x", "/etc/passwd", "clips/../../x"])
def test_no_path_leaves_the_workspace(workspace, outside):
    with pytest.raises(WorkspaceError, match="would leave"):
        workspace.absolute(outside)


def test_a_link_out_of_the_workspace_is_not_followed(workspace, tmp_path):
    (tmp_path / "secret").write_text("")
    (workspace.root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(WorkspaceError, match="would leave"):
        workspace.absolute("link")
    with pytest.raises(WorkspaceError, match="outside"):
        workspace.relative(workspace.root / "link")


def test_relative_and_absolute_are_inverse(workspace):
    assert workspace.absolute(workspace.relative(workspace.clips / "a.mp4")) == workspace.clips / "a.mp4"


def test_a_commit_shows_the_new_file_or_the_old_one_never_a_half(tmp_path):
    path = tmp_path / "folder" / "manifest.json"
    with committed(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()
        assert temporary.suffix == ".json"

    def fail():
        with committed(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["manifest.json"]


def test_sha256_of_a_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 1000).hexdigest()
