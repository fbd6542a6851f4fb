import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

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
