"""Studies, comparison and promotion as a person gets them wrong: said at once, before any server starts."""

import pytest

from flows.cli import run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["study", "clips", "--mot", "x", "--clips", "160,160"],
            "setting study_clips: clips 160, 160: each once",
        ),
        (["study", "clips", "--mot", "x", "--clips", "160;800"], "expected integers separated by commas"),
        (["study", "clips", "--mot", "x", "--clips", "160", "--seeds", "-1"], "seeds -1: 0 or more"),
        (["study", "trackers", "--mot", "x"], "name sequences with --unlabelled, or leave it out of --trackers"),
        (["study", "trackers", "--mot", "x", "--trackers", "deep"], "Input should be 'ssat', 'centertrack'"),
        (
            ["study", "trackers", "--mot", "x", "--trackers", "box", "--boxmot-python", "no/python"],
            "--boxmot-python: no/python: no such program; expected the python of an environment that has boxmot",
        ),
        (["study", "thresholds", "--mot", "x", "--tau1", "0.3,0.3"], "tau1 0.3, 0.3: each once"),
        (["study", "features", "--mot", "x", "--embedder", "colour", "--embedder", "colour"], "each once"),
        (["study", "features", "--mot", "x", "--gap-seconds", "0"], "gap"),
        (["tune", "--train", "x"], "setting tune.report: missing; give --report"),
        (["tune", "--train", "x", "--report", "y", "--train-split", "test"], "split test has no labels"),
        (["tune", "--train", "no/folder", "--report", "y"], "no/folder"),
        (["study", "extensions"], "setting benchmark.mot: missing; give --mot"),
        (["study", "margins"], "No such command"),
        (["compare"], "name two or more runs, or --experiment NAME"),
        (
            ["promote", "abcdef0", "--detections", "det_yolox.txt"],
            "--detections is for a benchmark: give --mot as well",
        ),
        (["promote", "abcdef0", "--spread", "-2"], "--spread"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(arguments, words, capsys):
    assert run(arguments) == 2
    assert words in capsys.readouterr().err
