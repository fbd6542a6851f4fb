from collections.abc import Callable
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.mot.rows import write_results
from ssat.mot.submission import check_submission
from ssat.pipeline.benchmark_inputs import prepare
from ssat.pipeline.benchmark_key import benchmark_folder
from ssat.pipeline.sequence_result import SequenceResult
from ssat.pipeline.settings import BenchmarkSettings
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.workspace import Workspace
from tasks.benchmark import pack_submission


def _settings(folder: Path, **values: object) -> BenchmarkSettings:
    return BenchmarkSettings.build(None, {"mot": str(folder), "split": "train", **values})


def test_sequences_are_cut_to_split_and_score(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path)
    ((one,), skipped) = prepare(_settings(folder, split="val-half", min_score=0.75))
    assert (one.frames, skipped) == (range(8, 13), {})
    assert set(one.truth.frames.tolist()) == set(range(8, 13))
    assert len(one.detections) == 10
    assert one.detections.scores.min() >= 0.75


def test_sequences_without_frames_are_left_out_where_appearance_is_asked_for(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    make_sequence(tmp_path, "WALK-01")
    labels_only = make_sequence(tmp_path, "WALK-02", images=False)
    prepared, skipped = prepare(_settings(tmp_path))
    assert [one.sequence.name for one in prepared] == ["WALK-01"]
    assert "WALK-02" in skipped
    prepared, skipped = prepare(_settings(tmp_path, tracker="box"))
    assert ([one.sequence.name for one in prepared], skipped) == (["WALK-01", "WALK-02"], {})
    with pytest.raises(InputError, match=r"WALK-02: no folder of frames.*the tracker box does not"):
        prepare(_settings(labels_only))


def _spoil(folder: Path, what: str) -> None:
    truth, detections = folder / "gt" / "gt.txt", folder / "det" / "det.txt"
    lines = detections.read_text().splitlines()
    match what:
        case "no truth":
            truth.unlink()
        case "empty truth":
            truth.write_text("")
        case "no detections":
            detections.unlink()
        case "missing frame":
            (folder / "img1" / "000009.jpg").unlink()
        case faulty:
            detections.write_text("\n".join([lines[0], faulty, *lines[1:]]))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no truth", r"gt.txt: no ground truth"),
        ("empty truth", r"no ground truth in frames 1 … 12 \(split train\)"),
        ("no detections", r"det.txt: no such detection file"),
        ("missing frame", r"1 of 12 frames are missing \(000009.jpg\)"),
        ("1,-1,nan,20,24,60,1", r"det.txt, line 2: left is nan"),
        ("1,-1,10,20,-24,60,1", r"det.txt, line 2: width is -24"),
        ("1,-1,10,20,24,60", r"det.txt, line 2: 6 columns, expected 7"),
        ("13,-1,10,20,24,60,1", r"det.txt, line 2: frame is 13, expected 1 … 12"),
    ],
)
def test_bad_input_of_one_sequence_is_found_before_any_work(
    what: str, message: str, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    make_sequence(tmp_path, "WALK-01")
    _spoil(make_sequence(tmp_path, "WALK-02"), what)
    with pytest.raises(InputError, match=message) as caught:
        prepare(_settings(tmp_path))
    assert "WALK-02" in str(caught.value)


def test_two_folders_of_one_name_are_refused(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    make_sequence(tmp_path, "WALK-01")
    other = make_sequence(tmp_path, "WALK-02")
    info = other / "seqinfo.ini"
    info.write_text(info.read_text().replace("WALK-02", "WALK-01"))
    with pytest.raises(InputError, match="both called WALK-01"):
        prepare(_settings(tmp_path))


def test_the_test_split_needs_no_labels_and_becomes_a_zip(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "MOT17" / "test", "MOT17-01-DPM", n_frames=4)
    make_sequence(tmp_path / "MOT17" / "train", "MOT17-02-DPM")
    (folder / "gt" / "gt.txt").unlink()
    ((one,), _) = prepare(_settings(tmp_path / "MOT17", split="test", tracker="box"))
    assert (one.sequence.name, one.frames, len(one.truth)) == ("MOT17-01-DPM", range(1, 5), 0)
    boxes, scores = one.detections.boxes[:1], one.detections.scores[:1]
    write_results(tmp_path / "MOT17-01-DPM.txt", [1], [1], boxes, scores)
    packed = pack_submission(tmp_path, {"MOT17-01-DPM": SequenceResult("MOT17-01-DPM.txt", 1, 1, StageSeconds())})
    assert packed.benchmark == "MOT17"
    assert len(packed.faults) == 20
    assert packed.faults[0] == "MOT17-01-FRCNN.txt: is missing; MOT17 has 21 test sequences"
    assert check_submission(tmp_path / packed.file).faults == list(packed.faults)


def test_where_a_network_detects_public_boxes_may_be_missing(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path)
    (folder / "det" / "det.txt").unlink()
    ((one,), _) = prepare(_settings(folder, detector="fcos", tracker="box"))
    assert len(one.detections) == 0
    with pytest.raises(InputError, match=r"det.txt: no such detection file"):
        prepare(_settings(folder, refine="frozen", tracker="box"))


def test_the_folder_follows_data_settings_and_embedder(
    make_sequence: Callable[..., Path], workspace: Workspace, tmp_path: Path
) -> None:
    def folder(parent: Path, embedder: str | None = "e", **values: object) -> Path:
        settings = _settings(parent, **values)
        return benchmark_folder(workspace, settings, prepare(settings)[0], embedder)

    here, there = tmp_path / "here", tmp_path / "there"
    make_sequence(here)
    make_sequence(there)
    assert folder(here) == folder(there), "where the data lies changes nothing"
    different = [
        folder(here),
        folder(here, "f"),
        folder(here, min_score=0.5),
        folder(here, protocol="motchallenge"),
        folder(here, association={"tau1": 0.5}),
        folder(here, split="val-half"),
    ]
    truth = here / "WALK-01" / "gt" / "gt.txt"
    truth.write_text(truth.read_text().replace("1,1,1.0", "1,7,1.0", 1))
    different.append(folder(here))
    assert len(set(different)) == len(different)
