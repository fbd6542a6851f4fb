"""Unlabelled footage of a folder scores an embedder by one number."""

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from ssat.embedding.colour import ColourEmbedder
from ssat.errors import InputError
from ssat.pipeline.footage import open_footage
from ssat.pipeline.probe_evaluation import ProbeEvaluation
from ssat.video.image_files import list_images, read_image


def write_video(path: Path, images: list[np.ndarray], rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


class Blind:
    """Gives the same feature for everything."""

    input_size = 32
    digest = "blind"

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        return np.ones((len(patches), 4), np.float32) / 2


def test_colours_tell_people_apart_and_a_blind_feature_does_not(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    sequence = make_sequence(tmp_path, n_frames=24, pace=2)
    shutil.rmtree(sequence / "gt")
    probe = ProbeEvaluation(tmp_path)
    assert probe(ColourEmbedder())["probe_auc"] > 0.95
    assert probe(Blind()) == {"probe_auc": 0.5, "probe_auc_low": 0.5, "probe_auc_high": 0.5}
    assert probe.notes == [f"WALK-01: fewer than 30 pairs of a kind at a gap of {gap} s: left out" for gap in (2, 3)]
    before = probe.digest
    with (sequence / "det" / "det.txt").open("a") as file:
        file.write("24,-1,5,5,10,20,0.5\n")
    assert ProbeEvaluation(tmp_path).digest != before


def test_videos_with_detections_beside_them(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    sequence = make_sequence(tmp_path / "made", n_frames=24, pace=2)
    folder = tmp_path / "footage"
    folder.mkdir()
    write_video(folder / "street.mp4", [read_image(path) for path in list_images(sequence / "img1")], rate=10)
    with pytest.raises(InputError, match=r"street\.mp4: no file of detections beside it; expected one of street\.txt"):
        ProbeEvaluation(folder)
    shutil.copy(sequence / "det" / "det.txt", folder / "street.txt")
    assert [footage.name for footage in open_footage(folder)] == ["street"]
    assert ProbeEvaluation(folder)(ColourEmbedder())["probe_auc"] > 0.9


def test_footage_that_says_too_little(make_sequence: Callable[..., Path], tmp_path: Path) -> None:
    make_sequence(tmp_path / "short", n_frames=8)
    with pytest.raises(InputError, match=r"short: too little to probe: WALK-01: fewer than 30 pairs.*longer footage"):
        ProbeEvaluation(tmp_path / "short")
    make_sequence(tmp_path / "blind", images=False)
    with pytest.raises(InputError, match="WALK-01 holds no frames"):
        ProbeEvaluation(tmp_path / "blind")
    alone = make_sequence(tmp_path / "alone", n_frames=24, pace=2)
    (alone / "det" / "det.txt").write_text("\n".join(f"{n},-1,20,40,24,60,1" for n in range(1, 25)) + "\n")
    with pytest.raises(InputError, match=r"alone: WALK-01: 24 detections in 24 frames, never two in one"):
        ProbeEvaluation(tmp_path / "alone")
    (alone / "det" / "det.txt").write_text("")
    with pytest.raises(InputError, match="WALK-01 has no detections"):
        ProbeEvaluation(tmp_path / "alone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no footage with detections; expected MOTChallenge sequences"):
        ProbeEvaluation(tmp_path / "empty")
