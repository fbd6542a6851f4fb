"""Tar mirrors, on disk and from a web server: what is taken, what is refused, and how reading is taken up again."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssat.clips.collector import Collector
from ssat.clips.lists import candidate_key
from ssat.clips.roster import load_roster
from ssat.clips.settings import CollectSettings
from ssat.clips.status import load_status
from ssat.errors import InputError
from ssat.workspace import Workspace

HEADER = "youtube_id,time_start,time_end,split\n"
Make = Callable[..., Path]


def collect(workspace: Workspace, source: Path, **settings: Any) -> dict[str, Any]:
    defaults = {"clips": 100, "backoff_seconds": 0.0, "workers": 1, "source": str(source), "free_gib": 0.0}
    with Collector(workspace, CollectSettings(**{**defaults, **settings})) as collector:
        while shard := collector.next_shard():
            collector.run_shard(shard)
        return collector.result()


@pytest.fixture
def videos(make_video: Make, tmp_path: Path) -> list[Path]:
    """Eight small videos of different lengths, which are copied, not encoded."""
    return [make_video(f"v{n}.mp4", frames=91 + n, size=(64, 48), folder=tmp_path / "videos") for n in range(8)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(HEADER + "".join(f"v{number},{5 * number},{5 * number + 10},test\n" for number in range(8)))
    return path


def write_tar(path: Path, members: dict[str, Path], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, file in members.items():
            archive.add(file, name)
    return path


def cut(number: int) -> str:
    """The name that a mirror gives the clip of `source`."""
    return f"test/v{number}_{5 * number:06d}_{5 * number + 10:06d}.mp4"


def test_archives_give_the_clips_that_the_list_names(videos: list[Path], source: Path, workspace: Workspace) -> None:
    folder = source.parent / "mirror"
    folder.mkdir()
    write_tar(folder / "part_0.tar.gz", {cut(n): videos[n] for n in range(5)} | {"README.md": source})
    other = {"test/other_000000_000010.mp4": videos[0], "test/v6_000000_000010.mp4": videos[6]}
    write_tar(folder / "part_1.tar", {cut(n): videos[n] for n in (5,)} | other | {"v7.mp4": videos[7]}, "w:")
    result = collect(workspace, source, mirrors=(str(folder),), mirrors_only=True)
    # v6 is there as another span; v7 is there as a whole video, too short for its span.
    assert result.by_class == {"ok": 6, "GONE": 1, "MEDIA": 1}
    roster = load_roster(workspace)
    order = sorted((f"v{n}" for n in range(8)), key=lambda clip_id: candidate_key(0, clip_id))
    assert roster["clip_id"].to_pylist() == [clip_id for clip_id in order if clip_id not in ("v6", "v7")]
    assert {row["clip_id"]: row["n_frames"] for row in roster.to_pylist()} == {f"v{n}": 91 + n for n in range(6)}
    assert not (workspace.clips / "downloads").exists()
    # Run again: no archive is opened, nothing is tried.
    for path in folder.iterdir():
        path.chmod(0)
    again = collect(workspace, source, mirrors=(str(folder),), mirrors_only=True)
    assert (again.attempted, again.clips) == (0, 6)


def test_sources_are_asked_in_the_order_given(
    videos: list[Path], source: Path, site: Any, workspace: Workspace, make_video: Make
) -> None:
    folder = source.parent / "folder"
    folder.mkdir()
    (folder / Path(cut(1)).name).write_bytes(videos[1].read_bytes())
    tar = write_tar(source.parent / "part.tar.gz", {cut(n): videos[n] for n in (1, 2, 3)})
    damaged = source.parent / "damaged.mp4"
    damaged.write_text("no video")
    write_tar(source.parent / "bad.tar", {cut(4): damaged}, "w:")
    for number in (4, 5):
        site.add(make_video(f"v{number}.mp4", frames=60 * number, size=(64, 48), fps=5))
    mirrors = (str(folder), str(tar), str(source.parent / "bad.tar"))
    result = collect(workspace, source, mirrors=mirrors, url_template=f"{site.url}/{{clip_id}}.mp4")
    rows = load_status(workspace).to_pylist()
    by_clip = {row["clip_id"]: row for row in rows}
    assert {name: Path(by_clip[name]["source"]).name for name in ("v1", "v2", "v5")} == {
        "v1": Path(cut(1)).name,
        "v2": "part.tar.gz",
        "v5": "v5.mp4",
    }
    # The damaged member is one attempt, the web server the next, and that one has it.
    v4 = [(Path(r["source"]).name, r["attempt"], r["status"]) for r in rows if r["clip_id"] == "v4"]
    assert v4 == [("bad.tar", 1, "failed"), ("v4.mp4", 2, "ok")]
    assert result.by_class == {"ok": 5, "GONE": 3}
    assert by_clip["v0"]["status"] == "gone"
    assert {name for name in site.requests if name.startswith("v")} == {f"v{n}.mp4" for n in (0, 4, 5, 6, 7)}


def test_an_archive_on_the_web_is_streamed_and_taken_up_again_archive_by_archive(
    videos: list[Path], source: Path, site: Any, workspace: Workspace
) -> None:
    for part in (0, 1):
        site.add(write_tar(source.parent / f"part_{part}.tar.gz", {cut(n): videos[n] for n in range(part, 8, 2)}))
    paths = source.parent / "paths.txt"
    paths.write_text(f"{site.url}/part_0.tar.gz\n\n{site.url}/part_1.tar.gz\n")
    whole = (site.folder / "part_1.tar.gz").read_bytes()
    (site.folder / "part_1.tar.gz").unlink()
    site.fail["part_1.tar.gz"] = 99
    settings = {"mirrors": (str(paths),), "mirrors_only": True, "net_attempts": 2}
    result = collect(workspace, source, **settings)
    assert "part_1.tar.gz cannot be read (NET: " in result.stopped
    assert (result.by_class, result.left) == ({"ok": 4}, 4)
    assert (site.requests["part_0.tar.gz"], site.requests["part_1.tar.gz"]) == (1, 2)
    (site.folder / "part_1.tar.gz").write_bytes(whole)
    site.fail.clear()
    assert collect(workspace, source, **settings).clips == 8
    assert site.requests["part_0.tar.gz"] == 1


def test_unsafe_members_are_refused_and_the_others_taken(
    videos: list[Path], source: Path, workspace: Workspace, tmp_path: Path
) -> None:
    tar = tmp_path / "evil.tar"
    content = videos[0].read_bytes()
    with tarfile.open(tar, "w") as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content) if kind == tarfile.REGTYPE else None)

        add(str(tmp_path / "v1.mp4"))
        add("test/../../v2.mp4")
        add("v3.mp4", tarfile.SYMTYPE, "/etc/passwd")
        add("v4.mp4", tarfile.LNKTYPE, "../list.csv")
        add("v5.mp4", tarfile.CHRTYPE)
        add("v6.mp4", tarfile.FIFOTYPE)
        add("..\\v7.mp4")
        add(cut(0))
    before = {path for path in tmp_path.rglob("*") if workspace.root not in path.parents}
    result = collect(workspace, source, mirrors=(str(tar),), mirrors_only=True)
    assert result.by_class == {"ok": 1, "GONE": 7}
    (row,) = result.archives
    for words in ("2 members refused: absolute path or backslash", "path with ..", "2 members refused: link", "device"):
        assert words in row.problem
    assert {path for path in tmp_path.rglob("*") if workspace.root not in path.parents} == before


@pytest.mark.parametrize("damage", ["cut", "text", "header", "size"])
def test_a_damaged_archive_is_reported_and_the_others_are_read(
    videos: list[Path], source: Path, workspace: Workspace, tmp_path: Path, damage: str
) -> None:
    bad = write_tar(tmp_path / "a.tar", {cut(n): videos[n] for n in range(4)}, "w:")
    good = write_tar(tmp_path / "b.tar.gz", {cut(n): videos[n] for n in range(4, 8)})
    whole = bad.read_bytes()
    if damage == "cut":
        bad.write_bytes(whole[: len(whole) * 2 // 5])
    elif damage == "text":
        bad.write_text("<html>not found</html>" * 100)
    else:
        # A header, or a member, of a terabyte that is not there.
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE if damage == "header" else tarfile.REGTYPE, 1 << 40
        bad.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + whole)
    result = collect(workspace, source, mirrors=(str(bad), str(good)), mirrors_only=True)
    assert [row.archive for row in result.archives] == [str(bad)]
    assert "damaged or no tar archive" in result.archives[0].problem
    assert result.by_class["ok"] == 4 + (damage == "cut")
    # Repaired, it is read again: what was given up for its sake is a dead letter.
    bad.write_bytes(whole)
    again = collect(workspace, source, mirrors=(str(bad), str(good)), mirrors_only=True, retry_dead=True)
    assert again.clips == 8


def test_a_member_above_the_limit_is_left_out(videos: list[Path], source: Path, workspace: Workspace) -> None:
    large = source.parent / "large.mp4"
    large.write_bytes(videos[0].read_bytes() + bytes(2 << 20))
    tar = write_tar(source.parent / "a.tar.gz", {cut(0): large, cut(1): videos[1]})
    result = collect(workspace, source, mirrors=(str(tar),), mirrors_only=True, max_mib=1)
    assert result.by_class["ok"] == 1
    assert "larger than 1 MiB" in result.archives[0].problem


def test_mirrors_that_are_none_are_refused(source: Path, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "paths.txt").write_text("http://127.0.0.1/a.tar.gz\nhttp://127.0.0.1/b.zip\n")
    (tmp_path / "nothing.txt").write_text("# no archive\n")
    urls = tmp_path / "urls.txt"
    urls.write_text("http://127.0.0.1/a.mp4\n")
    for mirrors, words in (
        ((str(tmp_path / "absent"),), "no such file or folder; expected a tar archive"),
        ((str(tmp_path / "absent.tar"),), "no such file"),
        ((str(tmp_path / "empty"),), "neither tar archives nor videos"),
        ((str(tmp_path / "paths.txt"),), r"paths\.txt: line 2: 'http://127\.0\.0\.1/b\.zip' is no tar archive"),
        ((str(tmp_path / "nothing.txt"),), "names no tar archive"),
    ):
        with pytest.raises(InputError, match=words):
            Collector(workspace, CollectSettings(source=str(source), mirrors=mirrors))
    with pytest.raises(InputError, match="mirrors_only is set and no mirror is given"):
        Collector(workspace, CollectSettings(source=str(source), mirrors_only=True))
    with pytest.raises(InputError, match="mirrors need a CSV list"):
        Collector(workspace, CollectSettings(source=str(urls), mirrors=(str(tmp_path / "empty"),)))


@pytest.mark.real_data
def test_real_clips_from_a_tar_are_those_from_the_folder(real_data: Path, workspace: Workspace, tmp_path: Path) -> None:
    clips = [real_data / "clips" / "trimmed" / f"{number:04d}.mp4" for number in range(4)]
    tar = write_tar(tmp_path / "real.tar", {f"{path.stem}_000007_000017.mp4": path for path in clips}, "w:")
    source = tmp_path / "real.csv"
    source.write_text(HEADER + "".join(f"{path.stem},7,17,test\n" for path in clips))
    assert collect(workspace, source, mirrors=(str(tar),), mirrors_only=True).clips == 4
    other = Workspace.open(tmp_path / "other")
    (tmp_path / "folder").mkdir()
    for path in clips:
        (tmp_path / "folder" / path.name).symlink_to(path)
    folder = tmp_path / "copies"
    folder.mkdir()
    for path in clips:
        (folder / path.name).write_bytes(path.read_bytes())
    collect(other, folder)
    assert load_roster(workspace)["sha256"].to_pylist() == load_roster(other)["sha256"].to_pylist()
