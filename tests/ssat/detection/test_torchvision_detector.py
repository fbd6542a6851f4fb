from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from ssat.detection.torchvision_detector import TorchvisionDetector
from ssat.errors import InputError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of weights: empty, and without a network to fill it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_weights_and_network_it_says_where_they_belong(hub: Path) -> None:
    with pytest.raises(InputError, match=r"fasterrcnn: its weights could not be downloaded.*expected https://") as e:
        TorchvisionDetector("fasterrcnn")
    assert str(hub) in str(e.value)
    assert "setting `detections`" in str(e.value)


def test_people_above_the_threshold_come_back_in_pixels_of_the_frame(hub: Path) -> None:
    weights = torchvision.models.detection.FCOS_ResNet50_FPN_Weights.DEFAULT
    torch.manual_seed(0)
    model = torchvision.models.get_model("fcos_resnet50_fpn", weights=None, weights_backbone=None, num_classes=91)
    # An untrained network, made to call everything that it sees a person.
    model.head.classification_head.cls_logits.bias.data[1] = 3.0
    torch.save(model.state_dict(), hub / weights.url.rsplit("/", 1)[-1])
    detector = TorchvisionDetector("fcos", threshold=0.2)
    detector._model.transform.min_size, detector._model.transform.max_size = (96,), 160
    image = np.random.default_rng(0).integers(0, 255, (60, 100, 3), dtype=np.uint8)
    (found,) = detector([image])
    assert len(found) > 0
    assert found.scores.min() >= 0.2
    assert (found.boxes >= 0).all()
    assert found.boxes[:, [0, 2]].max() <= 100
    assert found.boxes[:, [1, 3]].max() <= 60
    model.head.classification_head.cls_logits.bias.data[1] = -9.0
    model.head.classification_head.cls_logits.bias.data[3] = 3.0
    detector._model.load_state_dict(model.state_dict())
    assert len(detector([image])[0]) == 0, "cars are no people"
    assert detector.key != TorchvisionDetector("fcos", threshold=0.3).key


def test_a_damaged_file_of_weights(hub: Path) -> None:
    weights = torchvision.models.detection.FCOS_ResNet50_FPN_Weights.DEFAULT
    path = hub / weights.url.rsplit("/", 1)[-1]
    path.write_bytes(b"half a download")
    with pytest.raises(InputError, match=path.name):
        TorchvisionDetector("fcos")
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"not the weights of fcos_resnet50_fpn; delete the file"):
        TorchvisionDetector("fcos")
