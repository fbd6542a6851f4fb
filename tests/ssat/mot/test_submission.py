import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssat.errors import InputError
from ssat.mot.rows import write_results
from ssat.mot.submission import BENCHMARKS, benchmark_of, check_submission, write_submission


@pytest.fixture
def results(tmp_path: Path) -> dict[str, Path]:
    """A result file, as we write it, of each test sequence of MOT17."""
    boxes, scores = np.array([[1.0, 2, 30, 40], [5, 6, 70, 80]]), np.array([0.5, 1])
    return {
        name: write_results(tmp_path / "made" / f"{name}.txt", [1, length], [1, 2], boxes, scores)
        for name, length in BENCHMARKS["MOT17"][1].items()
    }


def test_the_published_lengths() -> None:
    totals = {name: tuple(sum(part.values()) for part in parts) for name, parts in BENCHMARKS.items()}
    assert totals == {
        "MOT15": (5500, 5783), "MOT16": (5316, 5919), "MOT17": (3 * 5316, 3 * 5919), "MOT20": (8931, 4479),
    }  # fmt: skip
    assert [len(part) for part in BENCHMARKS["MOT17"]] == [21, 21]


def test_what_we_write_is_accepted_with_a_warning_where_train_is_missing(
    results: dict[str, Path], tmp_path: Path
) -> None:
    path = write_submission(tmp_path / "submission.zip", results)
    found = check_submission(path)
    assert (found.benchmark, found.faults) == ("MOT17", [])
    assert len(found.warnings) == 1
    assert "21 of 21 training sequences are missing" in found.warnings[0]
    first = path.read_bytes()
    assert write_submission(tmp_path / "again.zip", results).read_bytes() == first
    train = dict.fromkeys(BENCHMARKS["MOT17"][0], results["MOT17-01-DPM"])
    everything = {name: _of_length(tmp_path, name, path) for name, path in (results | train).items()}
    assert check_submission(write_submission(path, everything)).warnings == []


def _of_length(folder: Path, name: str, path: Path) -> Path:
    copy = folder / "all" / f"{name}.txt"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(path.read_text().splitlines()[0] + "\n")
    return copy


_ROW = b"1,1,1,2,30,40,0.5,-1,-1,-1\n"


def _rename(old: str, new: str) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.__setitem__(new, files.pop(old))


def _content(content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.__setitem__("MOT17-01-DPM.txt", content)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda files: files.pop("MOT17-14-SDP.txt"), "MOT17-14-SDP.txt: is missing; MOT17 has 21 test sequences"),
        (_rename("MOT17-14-SDP.txt", "results/MOT17-14-SDP.txt"), "MOT17-14-SDP.txt: lies in a folder"),
        (_rename("MOT17-14-SDP.txt", "mot17-14-sdp.txt"), "no sequence of MOT17; expected MOT17-14-SDP.txt"),
        (lambda files: files.__setitem__("notes.md", b""), "notes.md: expected SEQUENCE.txt and nothing else"),
        (lambda files: files.__setitem__("../MOT17-01-DPM.txt", _ROW), "lies in a folder"),
        (_content(b""), "MOT17-01-DPM.txt: is empty"),
        (_content(_ROW + b"1,2,1,2,30,40,0.5\n"), "line 2: 7 comma-separated values, expected 10"),
        (_content(_ROW.replace(b",", b" ")), "line 1: 1 comma-separated values"),
        (_content(_ROW.replace(b"1,1,1,", b"0,1,1,")), "line 1: frame is 0, expected a whole number in 1 … 450"),
        (_content(_ROW.replace(b"1,1,1,", b"451,1,1,")), "line 1: frame is 451"),
        (_content(_ROW.replace(b"1,1,1,", b"1,0,1,")), "line 1: id is 0, expected a whole number from 1"),
        (_content(_ROW.replace(b"1,1,1,", b"1,1.5,1,")), "line 1: id is 1.5"),
        (_content(_ROW.replace(b",2,", b",nan,")), "line 1: top is nan, expected a finite number"),
        (_content(_ROW.replace(b",30,", b",0,")), "line 1: the box is 0 wide"),
        (_content(_ROW + _ROW), "line 2: id 1 is in frame 1 already"),
        (_content(b"\xef\xbb\xbf" + _ROW), "line 1: not numbers"),
    ],
)  # fmt: skip
def test_each_fault_is_named(
    spoil: Callable[[dict[str, bytes]], None], fault: str, results: dict[str, Path], tmp_path: Path
) -> None:
    files = {f"{name}.txt": path.read_bytes() for name, path in results.items()}
    spoil(files)
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert fault in "\n".join(check_submission(path).faults)


def test_links_bombs_and_doubles_are_refused(results: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in results.items():
            if name == "MOT17-03-DPM":
                link = zipfile.ZipInfo(f"{name}.txt")
                link.external_attr = 0o120777 << 16
                archive.writestr(link, "/etc/passwd")
            else:
                archive.write(file, f"{name}.txt")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("MOT17-01-DPM.txt", "again")
    faults = "\n".join(check_submission(path).faults)
    assert "MOT17-03-DPM.txt: is a link" in faults
    assert "MOT17-01-DPM.txt: is there twice" in faults
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="not a zip archive"):
        check_submission(damaged)
    with pytest.raises(InputError, match="no such file"):
        check_submission(tmp_path / "nothing.zip")


def test_many_faulty_lines_are_counted(results: dict[str, Path], tmp_path: Path) -> None:
    results["MOT17-01-DPM"].write_text("0,1,1,2,3,4,1,-1,-1,-1\n" * 9)
    faults = check_submission(write_submission(tmp_path / "one.zip", results)).faults
    assert len(faults) == 6
    assert faults[-1] == "MOT17-01-DPM.txt: 4 more faulty lines"


def test_names_tell_the_benchmark(tmp_path: Path, results: dict[str, Path]) -> None:
    assert benchmark_of(["MOT20-04"]) == "MOT20"
    assert benchmark_of(["WALK-01"]) is None
    path = write_submission(tmp_path / "walk.zip", {"WALK-01": results["MOT17-01-DPM"]})
    assert "no file is named after a sequence" in check_submission(path).faults[0]


def test_a_member_with_altered_bytes_is_a_fault_that_names_it(results: dict[str, Path], tmp_path: Path) -> None:
    path = write_submission(tmp_path / "submission.zip", results)
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    content = bytearray(path.read_bytes())
    start = first.header_offset + 30 + len(first.filename)
    content[start : start + first.compress_size] = b"\xff" * first.compress_size
    path.write_bytes(bytes(content))
    assert any(fault.startswith(f"{first.filename}: damaged") for fault in check_submission(path).faults)
