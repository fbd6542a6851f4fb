import os
import re
from pathlib import Path

import pytest

from ssat.clips.folders import VIDEO_SUFFIXES
from ssat.clips.lists import Candidate, candidate_key, describe_rejected, read_list
from ssat.errors import InputError

HEADER = "youtube_id,time_start,time_end,split\n"


def _list(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_kinetics_rows_with_and_without_a_label(tmp_path: Path) -> None:
    plain = read_list(_list(tmp_path, HEADER + "LAcSOxdNrmI,61,71,test\n"))
    labelled = read_list(
        _list(tmp_path, 'label,youtube_id,time_start,time_end,split\n"tying, slowly",LAcSOxdNrmI,61,71,val\n', "l.csv")
    )
    expected = [Candidate("LAcSOxdNrmI", "https://www.youtube.com/watch?v=LAcSOxdNrmI", 61.0, 71.0)]
    assert plain.candidates == labelled.candidates == expected
    assert plain.kind == labelled.kind == "csv"


def test_a_mirror_by_template(tmp_path: Path) -> None:
    path = _list(tmp_path, HEADER + "-a_b,0,10,test\n")
    clips = read_list(path, url_template="http://127.0.0.1:1/{clip_id}/{clip_id}.mp4")
    assert clips.candidates[0].locator == "http://127.0.0.1:1/-a_b/-a_b.mp4"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("aaa,10,5,test", "time_end 5 is not after time_start 10"),
        ("aaa,10,10,test", "time_end 10 is not after time_start 10"),
        ("aaa,10,12,test", "at least 3 s are needed"),
        ("aaa,-1,9,test", "time_start '-1' is not a number of seconds"),
        ("aaa,nan,9,test", "time_start 'nan' is not"),
        ("aaa,1,inf,test", "time_end 'inf' is not"),
        ("aaa,,9,test", "time_start '' is not"),
        ("../../etc/passwd,0,10,test", "youtube_id '../../etc/passwd'"),
        ("a/b,0,10,test", "youtube_id 'a/b'"),
        (".hidden,0,10,test", "youtube_id '.hidden'"),
        ("a;rm -rf,0,10,test", "youtube_id"),
        (",0,10,test", "youtube_id ''"),
        ("aaa,0,10", "3 fields, the header has 4"),
        ('aaa,0,10,"test', "a quotation mark that is not closed"),
        ('"aaa" b,0,10,test', "a quotation mark that is not closed, or stands inside a field"),
        ("good,5,15,test", "duplicate clip: its video was first seen in line 2"),
    ],
)
def test_a_broken_row_is_left_out_with_its_line_and_the_others_stay(tmp_path: Path, row: str, words: str) -> None:
    clips = read_list(_list(tmp_path, f"{HEADER}good,0,10,test\n\n{row}\nlast,0,10,test\n"))
    assert [candidate.clip_id for candidate in clips.candidates] == ["good", "last"]
    assert [rejected.line for rejected in clips.rejected] == [4]
    assert words in clips.rejected[0].reason
    assert "list.csv: line 4: " in describe_rejected(clips)[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the list is empty"),
        ("\n \n", "the list is empty"),
        (HEADER, "has no clips; expected rows below the header"),
        ("youtube_id,time_start,split\naaa,1,test\n", "line 1: missing column time_end"),
        ("id,start\naaa,1\n", "missing column youtube_id, time_start, time_end; found: id, start"),
        (HEADER + "aaa,9,1,test\n", "no usable clip among 1 rows: line 2: clip aaa: time_end 1 is not after"),
        ("# a comment\n\n# another\n", "the list is empty"),
    ],
)
def test_a_list_that_gives_nothing_is_an_error_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=r"list\.csv: ") as caught:
        read_list(_list(tmp_path, text))
    assert words in str(caught.value)


def test_what_is_no_list_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such clip list or folder"):
        read_list(tmp_path / "absent.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        read_list(binary)


def test_urls_with_optional_start_and_end(tmp_path: Path) -> None:
    clips = read_list(
        _list(
            tmp_path,
            "# talks\nhttp://127.0.0.1:9/a/first%20one.mp4\nhttps://example.org/b.mp4?key=1 12.5\n"
            "https://example.org/b.mp4?key=1 12.5 30\nfile:///etc/passwd\nhttps://example.org/b.mp4?key=1 9 2\n"
            "https://u:secret@:bad\nhttp://127.0.0.1:9/a/first%20one.mp4\n",
            "urls.txt",
        )
    )
    assert clips.kind == "urls"
    assert [(c.start_s, c.end_s) for c in clips.candidates] == [(0.0, None), (12.5, None), (12.5, 30.0)]
    assert clips.candidates[0].clip_id.startswith("first_one-")
    assert len({c.clip_id for c in clips.candidates}) == 3
    assert [rejected.line for rejected in clips.rejected] == [5, 6, 7, 8]
    assert "not an http or https URL" in clips.rejected[0].reason
    assert "secret" not in clips.rejected[2].reason
    assert clips.rejected[3].reason == "duplicate clip: its video was first seen in line 2"


def test_a_folder_of_videos(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    (folder / ".cache").mkdir()
    for name in ("0001.mp4", "0001.avi", "sub/0001.mp4", "mit leer.MP4", ".cache/a.mp4", "._0001.mp4"):
        (folder / name).touch()
    for name in ("notes.txt", "a.TXT", "README", ".DS_Store"):
        (folder / name).touch()
    (folder / "out.mp4").symlink_to("/etc/hostname")
    (folder / "inside.mkv").symlink_to(folder / "0001.avi")
    (folder / "nothing.mp4").symlink_to(folder / "absent.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.mp4")
    clips = read_list(folder)
    ids = [candidate.clip_id for candidate in clips.candidates]
    assert ids[:3] == ["0001.avi", "0001", "inside.mkv"]
    assert len(ids) == len(set(ids)) == 5
    assert all("/" not in clip_id and " " not in clip_id for clip_id in ids)
    assert clips.rejected == []
    assert [(group.reason, group.files, group.examples) for group in clips.skipped] == [
        ("not a video by the suffix: 2 .txt, 1 no suffix", 3, ("README", "a.TXT", "notes.txt")),
        ("hidden: the name, or that of its folder, begins with a dot", 2, ("._0001.mp4", ".cache")),
        ("a link that leaves the folder", 1, ("out.mp4",)),
        ("a link to nothing", 2, ("loop.mp4", "nothing.mp4")),
        ("not a file", 1, ("pipe.mp4",)),
        ("a link to a folder", 1, ("elsewhere",)),
    ]
    words = describe_rejected(clips)
    assert (
        f"{folder}: 1 left out (a link that leaves the folder): out.mp4; replace the link by a copy of its" in words[2]
    )


@pytest.mark.parametrize("suffix", [".mts", ".m2ts", ".vob", ".ogv", ".gif", ".M2TS", ".ts", ".3gp", ".mxf"])
def test_suffixes_of_cameras_discs_and_the_web_are_videos(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"0001{suffix}").touch()
    assert [candidate.locator for candidate in read_list(tmp_path).candidates] == [str(tmp_path / f"0001{suffix}")]


def test_the_docs_list_the_suffixes_of_videos() -> None:
    text = (Path(__file__).parents[3] / "docs" / "collect.md").read_text(encoding="utf-8")
    listed = next(line for line in text.splitlines() if line.startswith("`.3g2`"))
    assert set(re.findall(r"`(\.\w+)`", listed)) == VIDEO_SUFFIXES


def test_a_folder_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "0001.mp4").touch()
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        if os.access(locked, os.R_OK):
            pytest.skip("this user may read every folder")
        assert [group.reason for group in read_list(tmp_path).skipped] == ["a folder that cannot be read"]
    finally:
        locked.chmod(0o700)


def test_a_folder_without_videos_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a.mp4").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="no video in this folder") as caught:
        read_list(tmp_path)
    assert "1 left out (not a video by the suffix: 1 .txt): notes.txt; rename files" in str(caught.value)
    assert "1 left out (a link that leaves the folder): a.mp4; replace the link" in str(caught.value)


def test_bytes_that_are_not_utf_8_cost_nothing_where_they_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(
        b"label,youtube_id,time_start,time_end,na\xefve\n"
        b"caf\xe9,first,0,10,test\n"
        b'"caf\xe9, \xff",second,0,10,\x80\n'
        b"plain,thi\xe9rd,0,10,test\n"
        b"plain,fourth,0\xa0,10,test\n"
        b"plain,fifth,0,10,test\n"
    )
    clips = read_list(path)
    assert [candidate.clip_id for candidate in clips.candidates] == ["first", "second", "fifth"]
    assert [(row.line, row.clip_id, row.reason) for row in clips.rejected] == [
        (4, "thi\\xe9rd", r"youtube_id 'thi\xe9rd' has a byte that is not UTF-8 (0xE9); save the list as UTF-8"),
        (5, "fourth", r"time_start '0\xa0' has a byte that is not UTF-8 (0xA0); save the list as UTF-8"),
    ]
    "\n".join(describe_rejected(clips)).encode()


def test_bytes_that_are_not_utf_8_in_a_list_of_urls(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_bytes(b"# caf\xe9\nhttp://127.0.0.1:9/caf\xe9.mp4?key=s3cret\nhttp://127.0.0.1:9/caf%C3%A9.mp4\n")
    clips = read_list(path)
    assert [candidate.locator for candidate in clips.candidates] == ["http://127.0.0.1:9/caf%C3%A9.mp4"]
    assert [row.line for row in clips.rejected] == [2]
    assert "127.0.0.1:9/caf\\xe9.mp4?…' has a byte that is not UTF-8" in clips.rejected[0].reason


@pytest.mark.parametrize(
    "content", ["youtube_id,time_start,time_end\na,0,10\n".encode("utf-16"), b"\x00\x00\x00\x20ftypmp42"]
)
def test_a_file_that_is_not_text_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"list\.csv: line 1: not a text file in UTF-8; .*Save a list"):
        read_list(path)


def test_columns_that_are_missing_beside_one_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"youtube_id,time_start,time_end_s,caf\xe9\na,0,10,x\n")
    with pytest.raises(InputError, match=r"missing column time_end; found: .*caf") as caught:
        read_list(path)
    str(caught.value).encode()


def test_candidates_come_in_the_order_of_their_digest(tmp_path: Path) -> None:
    rows = "".join(f"clip{i:03d},0,10,test\n" for i in range(200))
    clips = read_list(_list(tmp_path, HEADER + rows))
    order = [candidate.clip_id for candidate in clips.ordered(seed=7)]
    assert order == sorted(order, key=lambda clip_id: candidate_key(7, clip_id))
    assert order != [candidate.clip_id for candidate in clips.ordered(seed=8)]
    # A longer list keeps the order of those it had.
    more = read_list(_list(tmp_path, HEADER + rows + "extra,0,10,test\n", "more.csv"))
    assert [c.clip_id for c in more.ordered(7) if c.clip_id != "extra"] == order
    # sha256("7|clip000"), computed with another tool.
    assert candidate_key(7, "clip000").hex().startswith("5f0cf1cf64cceae3")


@pytest.mark.real_data
def test_the_published_kinetics_lists(real_data: Path) -> None:
    test = read_list(real_data / "kinetics" / "kinetics-600_test.csv")
    assert (len(test.candidates), test.rejected) == (72_924, [])
    assert test.candidates[0] == Candidate("LAcSOxdNrmI", "https://www.youtube.com/watch?v=LAcSOxdNrmI", 61.0, 71.0)
    val = read_list(real_data / "kinetics" / "kinetics-600_val.csv")
    # Six of its videos stand in two rows each, under two labels: one video is one class.
    assert (len(val.candidates), len(val.rejected)) == (29_994, 6)
    assert val.rejected[0].line == 5813
    assert "first seen in line 5798" in val.rejected[0].reason


@pytest.mark.parametrize(("broken", "reason"), [("id0000700\x0000,1", "2 fields"), ('"id,1,2,test', "quotation mark")])
def test_one_broken_line_among_a_million(tmp_path: Path, broken: str, reason: str) -> None:
    path = tmp_path / "large.csv"
    count = 1_000_000 if "quotation" in reason else 20_000
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(
            f"id{n:09d},{n % 50},{n % 50 + 10},test\n" if n != 7_000 else f"{broken}\n" for n in range(count)
        )
    result = read_list(path)
    assert len(result.candidates) == count - 1
    assert [row.line for row in result.rejected] == [7_002]
    assert reason in result.rejected[0].reason
