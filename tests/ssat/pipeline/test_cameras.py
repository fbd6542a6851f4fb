from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssat import Cameras, Tracker
from ssat.embedding.embedder import Embedder
from ssat.errors import InputError
from ssat.mot.sequence import MotSequence
from ssat.pipeline.appearance import features_of
from ssat.pipeline.stage_seconds import StageSeconds
from ssat.video.image_files import read_image


class _Counting(Embedder):
    calls: list[int]

    def __call__(self, patches: np.ndarray, batch_size: int = 64) -> np.ndarray:
        self.calls.append(len(patches))
        return super().__call__(patches, batch_size)


def test_each_camera_has_its_own_identities_and_their_patches_are_embedded_together(
    make_sequence: Callable[..., Path], tmp_path: Path
) -> None:
    embedder = _Counting.untrained("resnet18", input_size=32)
    embedder.calls = []
    sequences = {name: MotSequence.open(make_sequence(tmp_path, name, n_frames=8)) for name in ("hall", "yard")}
    cameras = Cameras(embedder, {"hall": 10, "yard": 10})
    alone = {name: Tracker(frame_rate=10) for name in sequences}
    for number in range(1, 9):
        frames = {}
        for name, sequence in sequences.items():
            detections = sequence.detections()
            if name == "yard" and number in (2, 3):
                continue  # this camera is behind
            rows = detections.at(number)
            frames[name] = (read_image(sequence.image_path(number)), detections.boxes[rows], detections.scores[rows])
        answer = cameras.update(frames)
        assert embedder.calls.pop() == sum(len(boxes) for _, boxes, _ in frames.values())
        assert not embedder.calls
        for name, (image, boxes, _) in frames.items():
            expected = alone[name].update(boxes, features_of(image, boxes, embedder, StageSeconds()))
            np.testing.assert_array_equal(answer[name].ids, expected.ids)
            embedder.calls.clear()
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(InputError, match=r"camera yard: expected three values, image, boxes and scores"):
        cameras.update({"yard": ([], [])})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"camera roof: not one of hall, yard"):
        cameras.update({"roof": (image, np.empty((0, 4)), None)})
    with pytest.raises(InputError, match=r"camera yard: box of detection 0"):
        cameras.update({"yard": (image, np.array([[5.0, 0, 1, 9]]), None)})
    alive = cameras.trackers["hall"].n_alive
    one = np.array([[500.0, 0, 510, 9]])
    with pytest.raises(InputError, match=r"camera yard: scores have shape \(2,\)"):
        cameras.update({"hall": (image, one, None), "yard": (image, one, np.ones(2))})
    assert cameras.trackers["hall"].n_alive == alive, "the fault of one camera moves no other"
    for picture, said in (
        (image.astype(np.float32), r"camera hall: image has shape \(20, 20, 3\) and dtype float32"),
        (image[:, :, 0], r"camera hall: image has shape \(20, 20\) and dtype uint8"),
        (np.zeros((20, 20, 4), np.uint8), r"camera hall: image has shape \(20, 20, 4\)"),
        ("hall.jpg", "camera hall: image have dtype"),
    ):
        with pytest.raises(InputError, match=said):
            cameras.update({"hall": (picture, one, None)})
    torch = pytest.importorskip("torch")
    answer = cameras.update(
        {"hall": (torch.tensor(image), torch.tensor(one, requires_grad=True), None), "yard": (image, [], [])}
    )
    assert len(answer["hall"]) == 1
    assert len(answer["yard"]) == 0
