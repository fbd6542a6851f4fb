from collections.abc import Callable
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.pipeline.inputs import open_input


def test_a_sequence_brings_its_public_detections(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=6)
    opened = open_input(folder, None)
    assert (opened.name, opened.frame_rate, opened.numbers) == ("WALK-01", 10.0, range(1, 7))
    assert len(opened.detections) == 18  # one missed, one false alarm
    assert len(open_input(folder, None, min_score=0.75).detections) == 11
    assert open_input(folder, None, frame_rate=5).frame_rate == 5
    other = folder / "det" / "other.txt"
    other.write_text("1,-1,0,0,5,5,1\n")
    for named in ("other.txt", str(other)):
        assert len(open_input(folder, named).detections) == 1


def test_images_need_detections(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=6)
    with pytest.raises(InputError, match=r"no detections\. Let .*setting `detector`.*setting `detections`"):
        open_input(folder / "img1", None)
    opened = open_input(folder / "img1", str(folder / "det" / "det.txt"))
    assert (opened.frame_rate, opened.numbers) == (30.0, range(1, 7))
    (tmp_path / "late.txt").write_text("7,-1,0,0,5,5,1\n")
    with pytest.raises(InputError, match="frame is 7, expected 1 … 6"):
        open_input(folder / "img1", str(tmp_path / "late.txt"))


def test_what_is_not_there(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_input(tmp_path / "nothing.mp4", None)
    folder = make_sequence(tmp_path, images=False)
    assert open_input(folder, None).source is None


def test_a_size_that_seqinfo_does_not_say_is_refused(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, n_frames=2)
    info = folder / "seqinfo.ini"
    info.write_text(info.read_text().replace("imWidth=320", "imWidth=640"))
    said = r"000001.jpg: is 320x200 pixels, expected 640x200 as imWidth and imHeight in seqinfo.ini say"
    source = open_input(folder, None).source
    assert source is not None
    with pytest.raises(InputError, match=said):
        next(iter(source))
