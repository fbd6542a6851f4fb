"""torchvision's detectors with their COCO weights: for users without CenterTrack's checkpoint."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssat.detection.detections import Detections
from ssat.detection.settings import DetectorName
from ssat.errors import InputError

# Name → torchvision's builder, and the weights that it publishes for it.
_MODELS = {
    "fasterrcnn": ("fasterrcnn_resnet50_fpn_v2", "FasterRCNN_ResNet50_FPN_V2_Weights"),
    "retinanet": ("retinanet_resnet50_fpn_v2", "RetinaNet_ResNet50_FPN_V2_Weights"),
    "fcos": ("fcos_resnet50_fpn", "FCOS_ResNet50_FPN_Weights"),
}
_VERSION = 1


class TorchvisionDetector:
    """People in frames, by a detector that torchvision trained on COCO. Processes each frame alone.

    Args:
        name: which one.
        threshold: detections must score at least this.

    Raises:
        InputError: the weights are not in torch's cache and cannot be downloaded; names address and place.
    """

    reads_previous = False
    batch = 1  # frames differ in size from input to input, and a batch of these networks gains nothing on a CPU

    def __init__(self, name: DetectorName, threshold: float = 0.5) -> None:
        import torchvision

        builder, weights_name = _MODELS[name]
        weights = getattr(torchvision.models.detection, weights_name).DEFAULT
        state = _state_dict(name, weights)
        self.name: str = name
        self.threshold = threshold
        self.person = weights.meta["categories"].index("person")
        self.digest = _digest(state)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = torchvision.models.get_model(builder, weights=None, weights_backbone=None, num_classes=91)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"{_place(weights)}: not the weights of {builder}; delete the file") from error
        self._model = model.eval().to(self.device)

    @property
    def key(self) -> str:
        """SHA-256 over weights and settings."""
        return hashlib.sha256(json.dumps([_VERSION, self.name, self.digest, self.threshold]).encode()).hexdigest()

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[NDArray[np.uint8]], previous: NDArray[np.uint8] | None = None
    ) -> list[Detections]:
        """Return detections of frames (H, W, 3) RGB; `previous` is not used."""
        batch = [torch.from_numpy(image).to(self.device).permute(2, 0, 1).float() / 255 for image in images]
        return [self._people(answer) for answer in self._model(batch)]

    def _people(self, answer: Mapping[str, torch.Tensor]) -> Detections:
        kept = (answer["labels"] == self.person) & (answer["scores"] >= self.threshold)
        boxes = answer["boxes"][kept].double().cpu().numpy()
        scores = answer["scores"][kept].double().cpu().numpy()
        sound = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections.of_boxes(boxes[sound], scores[sound])


def _state_dict(name: str, weights: Any) -> dict[str, torch.Tensor]:
    try:
        # check_hash is torchvision's own check of a download; weights_only keeps a pickle from running code.
        state: dict[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (urllib.error.URLError, http.client.HTTPException, OSError, RuntimeError, EOFError) as error:
        raise InputError(
            f"detector {name}: its weights could not be downloaded ({error}); expected {weights.url} or the file "
            f"{_place(weights)}. Put it there, or give a file with setting `detections`"
        ) from error
    except Exception as error:
        raise InputError(f"{_place(weights)}: not a file of weights ({type(error).__name__}); delete it") from error
    return state


def _place(weights: Any) -> str:
    return f"{torch.hub.get_dir()}/checkpoints/{weights.url.rsplit('/', 1)[-1]}"


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(key.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
