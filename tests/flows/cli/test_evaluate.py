import json
import re
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flows.cli.evaluate import command
from ssat.errors import InputError


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


@pytest.fixture
def tud(tmp_path: Path) -> Path:
    """Ground truth and results of the two TUD sequences in the motmetrics wheel, laid out as folders."""
    data = Path(str(files("motmetrics"))) / "data"
    (tmp_path / "results").mkdir()
    for name, n_frames in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        folder = tmp_path / "gt" / name
        (folder / "gt").mkdir(parents=True)
        (folder / "gt" / "gt.txt").write_bytes((data / name / "gt.txt").read_bytes())
        (folder / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name}\nframeRate=25\nseqLength={n_frames}\nimWidth=640\nimHeight=480\n"
        )
        (tmp_path / "results" / f"{name}.txt").write_bytes((data / name / "test.txt").read_bytes())
    return tmp_path


def test_scores_of_any_result_files(tud: Path) -> None:
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--protocol", "motchallenge", "--json")
    assert outcome.exit_code == 0, outcome.output
    answer = json.loads(outcome.stdout.splitlines()[-1])
    assert round(100 * answer["overall"]["idf1"], 1) == 62.4
    assert round(100 * answer["overall"]["mota"], 1) == 55.5
    assert answer["overall"]["idsw"] == 14
    assert list(answer["sequences"]) == ["TUD-Campus", "TUD-Stadtmitte"]
    assert answer["protocol"] == "motchallenge"
    assert "protocol motchallenge" in " ".join(outcome.stderr.split())


def test_sequences_and_split_choose_what_counts(tud: Path) -> None:
    base = ("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--json", "--sequences", "TUD-Campus")
    whole = json.loads(_run(*base).stdout.splitlines()[-1])
    half = json.loads(_run(*base, "--split", "val-half").stdout.splitlines()[-1])
    assert list(whole["sequences"]) == ["TUD-Campus"]
    assert whole["overall"]["gt_dets"] == 359
    assert 0 < half["overall"]["gt_dets"] < 359
    config = tud / "ssat.toml"
    config.write_text('[benchmark]\nsplit = "val-half"\nsequences = ["TUD-Campus"]\n')
    by_file = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--json", "--config", str(config))
    assert json.loads(by_file.stdout.splitlines()[-1]) == half


def test_what_is_missing_is_named(tud: Path, make_sequence: Callable[..., Path]) -> None:
    (tud / "results" / "TUD-Campus.txt").unlink()
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"))
    assert isinstance(outcome.exception, InputError)
    assert "no result file for TUD-Campus" in str(outcome.exception)
    outcome = _run("--gt", str(tud / "gt"), "--workspace", str(tud / "empty"))
    assert "no finished benchmark" in str(outcome.exception)
    (tud / "results" / "TUD-Stadtmitte.txt").write_text("1,1,10,10,20,20,1\n1,1,50,10,20,20,1\n")
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--sequences", "TUD-Stadtmitte")
    assert "identity 1 is in frame 1 already" in str(outcome.exception)


def _scores(folder: Path, *more: str) -> dict[str, Any]:
    outcome = _run("--gt", str(folder / "gt"), "--results", str(folder / "results"), "--json", *more)
    assert outcome.exit_code == 0, outcome.output
    answer: dict[str, Any] = json.loads(outcome.stdout.splitlines()[-1])
    return answer


def test_what_other_programs_write_reads_the_same(tud: Path) -> None:
    chosen = ("--sequences", "TUD-Campus", "--protocol", "motchallenge")
    path = tud / "results" / "TUD-Campus.txt"
    lines = path.read_text().splitlines()
    expected = _scores(tud, *chosen)
    rewritten = {
        "semicolons and Windows line ends": "\r\n".join(line.replace(",", ";") for line in lines) + "\r\n",
        "white space": "\n".join(line.replace(",", "  ") for line in lines),
        "a mark of byte order, empty lines, another order": "\ufeff" + "\n\n".join(reversed(lines)),
        "exponents": "\n".join(",".join(f"{float(field):.12e}" for field in line.split(",")) for line in lines),
    }
    for what, text in rewritten.items():
        path.write_bytes(text.encode())
        assert _scores(tud, *chosen)["overall"] == pytest.approx(expected["overall"]), what


@pytest.mark.parametrize("protocol", ["centertrack-half", "motchallenge"])
def test_an_empty_result_file_scores(protocol: str, tud: Path) -> None:
    (tud / "results" / "TUD-Campus.txt").write_text("")
    answer = _scores(tud, "--protocol", protocol)
    campus, overall = answer["sequences"]["TUD-Campus"], answer["overall"]
    assert (campus["fn"], campus["fp"], campus["hota"], campus["ml"]) == (359, 0, 0, 8)
    assert 0 < overall["motp"] < 1
    assert overall["gt_dets"] == 1515


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("72,1,1,2,3,4,1,-1,-1,-1", "frame is 72, expected 1 … 71"),
        ("1,1,nan,2,3,4,1,-1,-1,-1", "left is nan, expected a finite number"),
        ("1,1,1,2,1e200,4,1,-1,-1,-1", "width is 1e\\+200, expected at most 1e\\+09 pixels"),
        ("1,1,1,2,3,4,1,-1,-1,-1\n1,1,1,2,3,4,1,-1,-1,-1", "identity 1 is in frame 1 already"),
        ("1,one,1,2,3,4,1,-1,-1,-1", "not a number"),
        ("1,1.5,1,2,3,4,1,-1,-1,-1", "id is 1.5, expected a whole number"),
    ],
)
def test_a_faulty_line_is_named(line: str, message: str, tud: Path) -> None:
    (tud / "results" / "TUD-Campus.txt").write_text(f"{line}\n")
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"))
    assert isinstance(outcome.exception, InputError)
    assert re.search(rf"TUD-Campus.txt, line \d: {message}", str(outcome.exception))


def test_missing_ground_truth_is_named(tud: Path) -> None:
    (tud / "gt" / "TUD-Campus" / "gt" / "gt.txt").unlink()
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"))
    assert "gt.txt: no ground truth; sequence TUD-Campus can be tracked but not scored" in str(outcome.exception)
    assert "--gt is missing" in str(_run("--results", str(tud / "results")).exception)


def test_public_detectors_of_mot17_are_summed_apart(tud: Path) -> None:
    for old, new in (("TUD-Campus", "MOT17-02-DPM"), ("TUD-Stadtmitte", "MOT17-02-SDP")):
        (tud / "gt" / old).rename(tud / "gt" / new)
        info = tud / "gt" / new / "seqinfo.ini"
        info.write_text(info.read_text().replace(old, new))
        (tud / "results" / f"{old}.txt").rename(tud / "results" / f"{new}.txt")
    answer = _scores(tud)
    assert set(answer["detectors"]) == {"DPM", "SDP"}
    assert answer["detectors"]["SDP"] == answer["sequences"]["MOT17-02-SDP"]
    assert list(_scores(tud, "--sequences", "*-DPM")["sequences"]) == ["MOT17-02-DPM"]


def test_results_in_kittis_form_are_read(tmp_path: Path) -> None:
    row = "{} 1 Pedestrian 0 0 0 10 20 40 90 -1 -1 -1 -1 -1 -1 -1"
    (tmp_path / "gt" / "label_02").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    (tmp_path / "gt" / "label_02" / "0000.txt").write_text("\n".join(row.format(frame) for frame in range(4)))
    for text in (
        "\n".join(row.format(frame) + " 0.9" for frame in range(3)),
        "1,1,10,20,30,70,1\n2,1,10,20,30,70,1\n3,1,10,20,30,70,1",
    ):
        (tmp_path / "results" / "0000.txt").write_text(text)
        overall = _scores(tmp_path, "--protocol", "motchallenge")["overall"]
        assert (overall["gt_dets"], overall["fn"], overall["fp"], overall["idsw"]) == (4, 1, 0, 0)


def test_a_submission_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MOT20-04.txt", "1,1,1,2,3,4,1,-1,-1,-1\n")
    outcome = _run("--submission", str(path), "--json")
    assert "3 faults; the server would not score it" in str(outcome.exception)
    found = json.loads(outcome.stdout.splitlines()[-1])
    assert found["benchmark"] == "MOT20"
    assert "MOT20-06.txt: is missing; MOT20 has 4 test sequences" in found["faults"]
    assert len(found["warnings"]) == 1


def test_name_and_length_suffice_to_score(tud: Path) -> None:
    before = _scores(tud)
    for name, n_frames in (("TUD-Campus", 71), ("TUD-Stadtmitte", 179)):
        (tud / "gt" / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={n_frames}\n")
    assert _scores(tud) == before


def test_results_laid_out_for_trackeval_are_read(tud: Path) -> None:
    before = _scores(tud)
    (tud / "trackers" / "ours").mkdir(parents=True)
    (tud / "results").rename(tud / "trackers" / "ours" / "data")
    (tud / "results").symlink_to(tud / "trackers" / "ours")
    assert _scores(tud)["overall"] == before["overall"]
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "trackers"))
    assert isinstance(outcome.exception, InputError)
    assert "the results of 1 trackers (ours)" in str(outcome.exception)


def test_a_box_without_extent_is_a_false_positive_with_a_note(tud: Path) -> None:
    before = _scores(tud, "--protocol", "motchallenge")
    path = tud / "results" / "TUD-Campus.txt"
    path.write_text(path.read_text().rstrip() + "\n1,901,10,10,0,20,1,-1,-1,-1\n2,901,10,10,5,-3,1,-1,-1,-1\n")
    after = _scores(tud, "--protocol", "motchallenge")
    assert after["overall"]["fp"] == before["overall"]["fp"] + 2
    assert after["overall"]["fn"] == before["overall"]["fn"]
    assert before["notes"] == []
    notes = [str(note) for note in after["notes"]]
    assert len(notes) == 1
    assert "TUD-Campus.txt: 2 of " in notes[0]
    assert "have no extent and count as false positives" in notes[0]


def test_results_that_cannot_count_are_refused(tud: Path) -> None:
    chosen = ("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--sequences", "TUD-Campus")
    path = tud / "results" / "TUD-Campus.txt"
    path.write_text("1,1,10,10,20,20,1,1,-1,-1\n2,1,10,10,20,20,1,3,-1,-1\n")
    outcome = _run(*chosen)
    assert isinstance(outcome.exception, InputError)
    assert re.search(r"TUD-Campus.txt, line 2: class is 3, expected −1 or 1 \(pedestrian\)", str(outcome.exception))
    path.write_text("1,1,10,10,20,20,1,1,-1,-1\n2,1,10,10,20,20,1,-1,-1,-1\n")
    outcome = _run(*chosen, "--split", "val-half")
    assert isinstance(outcome.exception, InputError)
    assert "none of 2 rows of the results lies in the scored frames 37 … 71: theirs are 1 … 2" in str(outcome.exception)


def test_a_folder_that_looks_like_a_sequence_is_named(tud: Path) -> None:
    (tud / "gt" / "TUD-Stadtmitte" / "seqinfo.ini").unlink()
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"))
    assert isinstance(outcome.exception, InputError)
    assert f"{tud / 'gt' / 'TUD-Stadtmitte'}: no seqinfo.ini in 1 folder with gt, det or img1" in str(outcome.exception)
    outcome = _run("--gt", str(tud / "gt"), "--results", str(tud / "results"), "--sequences", "TUD-Campus")
    assert outcome.exit_code == 0, outcome.output
    outcome = _run("--gt", str(tud / "gt" / "TUD-Stadtmitte"), "--results", str(tud / "results"))
    assert "no seqinfo.ini in 1 folder" in str(outcome.exception)
