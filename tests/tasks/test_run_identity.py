"""Which settings tell runs apart, and which sequences the verbs look for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.cli import run
from ssat.pipeline.benchmark_inputs import sequences_of
from ssat.pipeline.settings import BenchmarkSettings
from tasks.recorded import comparable
from tasks.study import Study


def _recorded(checkpoint: str, weights: str, **more: str) -> SimpleNamespace:
    params = {"tracker": "ssat", "refinement.checkpoint": checkpoint, **more}
    return SimpleNamespace(data=SimpleNamespace(params=params, tags={"detector_sha256": weights}))


def test_benchmarks_are_compared_by_the_weights_that_detect_not_by_their_path():
    assert comparable(_recorded("a.pth", "1")) == comparable(_recorded("b/c.pth", "1"))
    assert comparable(_recorded("a.pth", "1")) != comparable(_recorded("a.pth", "2"))
    # How a foreign network is fed belongs to the embedder, which may differ.
    assert comparable(_recorded("a.pth", "1", **{"reid.size": "None"})) == comparable(_recorded("a.pth", "1"))


def test_a_study_with_the_same_weights_elsewhere_is_the_same_study(workspace, tmp_path):
    folders = []
    for name, weights in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(weights)
        refinement = {"checkpoint": str(tmp_path / name)}
        settings = BenchmarkSettings(mot="x", refine="frozen", refinement=refinement)
        folders.append(Study(workspace, "extensions", {"benchmark": settings}, {"data": "d"}).folder)
    assert folders[0] == folders[1] != folders[2]


def test_a_study_of_version_0_1_is_found_again(workspace):
    # The folder's name as that version made it, with how a foreign network is fed in the key.
    given = {"mot": "/x", "embedder": "colour", "reid": {"channels": "bgr"}}
    # The preset of that version gave a missing appearance no cost.
    settings = BenchmarkSettings.build("strong", given, {"association": {"missing_appearance_cost": 0.0}})
    models = {"benchmark": settings}
    new = Study(workspace, "extensions", models, {"data": "D"}).folder
    before = workspace.studies / "extensions-1315f4f0f0ff"
    assert new != before
    before.mkdir(parents=True)
    assert Study(workspace, "extensions", models, {"data": "D"}).folder == before


def test_a_home_folder_and_the_part_of_the_split_are_looked_for(monkeypatch, tmp_path, make_sequence):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_sequence(tmp_path / "MOT" / "train", "WALK-01")
    found = sequences_of(BenchmarkSettings(mot="~/MOT/train"))
    assert [sequence.name for sequence in found] == ["WALK-01"]


@pytest.mark.parametrize("verb", ["run", "scale"])
def test_run_and_scale_find_sequences_below_a_home_folder(monkeypatch, tmp_path, make_sequence, capsys, verb):
    """They fail at the next one: the workspace, which is a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    make_sequence(tmp_path / "MOT" / "train", "WALK-01")
    blocked = Path(tmp_path / "file")
    blocked.write_text("")
    arguments = ["--source", str(tmp_path), "--mot", "~/MOT/train", "--workspace", str(blocked / "w")]
    assert run([verb, *arguments]) == 2
    assert "workspace" in capsys.readouterr().err
