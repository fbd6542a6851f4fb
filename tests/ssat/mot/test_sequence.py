from collections.abc import Callable
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.mot.find import find_sequences
from ssat.mot.sequence import MotSequence


def test_a_folder_is_one_sequence_or_holds_many(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    first = make_sequence(tmp_path / "MOT" / "train", "WALK-02", n_frames=2)
    make_sequence(tmp_path / "MOT" / "train", "WALK-01", n_frames=2, images=False)
    for folder in (tmp_path / "MOT" / "train", tmp_path / "MOT"):
        assert [one.name for one in find_sequences(folder)] == ["WALK-01", "WALK-02"]
    assert [one.name for one in find_sequences(first)] == ["WALK-02"]
    assert [one.name for one in find_sequences(tmp_path / "MOT", ["WALK-02"])] == ["WALK-02"]
    with pytest.raises(InputError, match=r"no sequence WALK-09; there are: WALK-01, WALK-02"):
        find_sequences(tmp_path / "MOT", ["WALK-09"])
    with pytest.raises(InputError, match="no MOTChallenge sequence"):
        find_sequences(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_sequences(tmp_path / "nowhere")


def test_what_seqinfo_says(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    one = MotSequence.open(make_sequence(tmp_path, n_frames=3))
    assert (one.name, one.frame_rate, one.n_frames, one.width, one.height) == ("WALK-01", 10.0, 3, 320, 200)
    assert one.image_path(3).is_file()
    assert len(one.detections()) == 9
    assert len(one.ground_truth()) == 9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seqLength=3", "seqLength=many", "seqLength is 'many'"),
        ("seqLength=3", "seqLength=0", "seqLength is '0'"),
        ("seqLength=3", "", "seqLength is missing"),
        ("frameRate=10", "frameRate=nan", "frameRate is 'nan'"),
        ("name=WALK-01", "name=../../etc", "name is '../../etc'"),
        ("imDir=img1", "imDir=..", "imDir is '..'"),
        ("imExt=.jpg", "imExt=/../../../etc/passwd", "imExt is '/../"),
        ("[Sequence]", "[Other]", r"no section \[Sequence\]"),
        ("[Sequence]", "", "not a readable seqinfo.ini"),
    ],
)
def test_a_faulty_seqinfo_is_named(
    old: str, new: str, message: str, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=3)
    info = folder / "seqinfo.ini"
    info.write_text(info.read_text().replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        MotSequence.open(folder)
    assert str(info) in str(caught.value)


def test_missing_files_are_named(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=4)
    one = MotSequence.open(folder)
    one.check_images(range(1, 5))
    (folder / "img1" / "000003.jpg").unlink()
    one = MotSequence.open(folder)
    one.check_images(range(1, 3))
    with pytest.raises(InputError, match=r"1 of 4 frames are missing \(000003.jpg\); seqinfo.ini promises 4"):
        one.check_images(range(1, 5))
    (folder / "gt" / "gt.txt").unlink()
    with pytest.raises(InputError, match="no ground truth; sequence WALK-01 can be tracked but not scored"):
        one.ground_truth()
    with pytest.raises(InputError, match=r"det_other.txt: no such detection file; in that folder: det.txt"):
        one.detections("det_other.txt")
    with pytest.raises(InputError, match="plain name"):
        one.detections("../gt/gt.txt")


def test_labels_only(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    one = MotSequence.open(make_sequence(tmp_path, images=False))
    assert one.image_folder is None
    with pytest.raises(InputError, match=r"no folder of frames.*the tracker box does not"):
        one.check_images(range(1, 3))
    (tmp_path / "WALK-01" / "img1").write_text("../other/img1")  # a link that was stored as text
    with pytest.raises(InputError, match=r"WALK-01: img1 is a file; expected the folder of frames"):
        MotSequence.open(one.folder).check_images(range(1, 3))


@pytest.mark.parametrize("pattern", ["{:08d}.jpg", "{}.jpg", "frame_{:04d}.jpg", "{:06d}.JPG"])
def test_the_number_in_the_name_counts_whatever_its_padding(
    pattern: str, make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=11)
    info = folder / "seqinfo.ini"
    info.write_text(info.read_text().replace("imDir=img1", "imDir=img1/").replace("imExt=.jpg", "imExt=jpg"))
    for number in range(1, 12):
        (folder / "img1" / f"{number:06d}.jpg").rename(folder / "img1" / pattern.format(number))
    (folder / "img1" / "._000001.jpg").write_bytes(b"what a Mac leaves")
    one = MotSequence.open(folder)
    one.check_images(range(1, 12))
    assert [one.image_path(frame).name for frame in (1, 2, 11)] == [pattern.format(frame) for frame in (1, 2, 11)]


def test_two_images_of_one_number_and_another_suffix_are_named(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_sequence(tmp_path, n_frames=3)
    (folder / "img1" / "2.jpg").write_bytes((folder / "img1" / "000002.jpg").read_bytes())
    with pytest.raises(InputError, match=r"000002.jpg have the same number|2.jpg have the same number"):
        MotSequence.open(folder).check_images(range(1, 4))
    (folder / "img1" / "2.jpg").unlink()
    info = folder / "seqinfo.ini"
    info.write_text(info.read_text().replace("imExt=.jpg", "imExt=.png"))
    with pytest.raises(InputError, match=r"3 of 3 frames are missing.*holds .jpg files: correct imExt"):
        MotSequence.open(folder).check_images(range(1, 4))
