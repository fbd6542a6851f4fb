"""An embedder as an ONNX graph in the layout that another project's tracker or runtime expects.

| target | input (B, 3, S, S) float32 RGB | loaded by |
|---|---|---|
| boxmot | (pixel / 255 − mean) / std, ImageNet's, which BoxMOT computes | a tracker's `reid_weights` |
| ultralytics | pixel / 255 | `model:` of `botsort.yaml`, `with_reid: True` |
| opencv | pixel, 0 … 255 | `cv2.dnn.readNetFromONNX`, `blobFromImages(patches_bgr, swapRB=True)` |

What remains of the normalisation is inside the graph. The features (B, 512) have unit length.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.embedder import Embedder
from ssat.embedding.export import CARD, model_card, write_onnx
from ssat.embedding.network import EmbeddingNetwork
from ssat.embedding.reid_input import PatchFormat, ReidInput
from ssat.embedding.reid_onnx import INPUT_KEY, ReidOnnxEmbedder
from ssat.errors import InputError
from ssat.workspace import committed

Target = Literal["boxmot", "ultralytics", "opencv"]
MIN_COSINE = 0.9999  # with the embedder's own features, over the patches of the check
# Normalisation by the project, (pixel / 255 − mean) / std, before the graph.
_FORMATS: dict[Target, PatchFormat] = {
    "boxmot": PatchFormat(),
    "ultralytics": PatchFormat(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    "opencv": PatchFormat(mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255)),
}
_INPUT, _OUTPUT = "images", "output0"  # as BoxMOT and ultralytics name them in their own exports


def file_for(target: Target) -> str:
    """Return the name of the file that `export_for` writes."""
    return f"embedder-{target}.onnx"


def export_for(embedder: Embedder, target: Target, folder: Path, patches: NDArray[np.uint8]) -> list[Path]:
    """Write the graph for `target` and a model card into `folder`; run and compared before it is kept.

    Args:
        patches: (B, S, S, 3) uint8 RGB that are tried.

    Returns:
        The graph and the model card.

    Raises:
        InputError: onnx or onnxruntime is not installed, the embedder is no ResNet, or the features differ.
    """
    module = export_module(embedder, target)
    path, size = folder / file_for(target), embedder.input_size
    example = torch.zeros(2, 3, size, size, device=embedder.device)
    with committed(path) as temporary:
        write_onnx(module, example, temporary, _INPUT, _OUTPUT)
        _keep_input(temporary, _FORMATS[target])
        features, expected = ReidOnnxEmbedder(temporary, device="cpu")(patches), embedder(patches)
        cosine = float((features * expected).sum(1).min())
        if not cosine >= MIN_COSINE:
            raise InputError(
                f"{path}: its features differ from torch's (least cosine {cosine:.5f} over {len(patches)} patches, "
                f"expected {MIN_COSINE}); nothing was written. Update onnxruntime"
            )
    card = folder / CARD
    agreement = f"Compared with torch on {len(patches)} patches in onnxruntime: least cosine {cosine:.6f}."
    with committed(card) as temporary:
        temporary.write_text(model_card(embedder, path.name, agreement, _described(target)), encoding="utf-8")
    return [path, card]


def export_module(embedder: Embedder, target: Target) -> nn.Module:
    """Return what the graph computes, as a module: the input of `target` (B, 3, S, S) → features (B, 512).

    Raises:
        InputError: the embedder is no ResNet.
    """
    network = embedder.network
    if not isinstance(network, EmbeddingNetwork):
        raise InputError(
            f"setting `for`, {target}: the embedder is a {network.architecture}, which takes uint8 patches; expected a "
            "trained ResNet. Export it without that setting"
        )
    return _ForFloats(network, _FORMATS[target]).eval()


class _ForFloats(nn.Module):
    """The ResNet behind what is left of its normalisation, with features of unit length."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: EmbeddingNetwork, given: PatchFormat) -> None:
        super().__init__()
        self.backbone = network.backbone
        # pixel = 255 · (x · std + mean) of the target; the network expects (pixel − mean) / std of its own.
        device = network.mean.device
        given_mean = 255 * torch.tensor(given.mean, device=device).view(1, 3, 1, 1)
        given_std = 255 * torch.tensor(given.std, device=device).view(1, 3, 1, 1)
        self.register_buffer("scale", given_std / network.std)
        self.register_buffer("shift", (given_mean - network.mean) / network.std)
        self._identity = bool(torch.allclose(self.scale, torch.ones_like(self.scale), atol=1e-6))

    def forward(self, images: Tensor) -> Tensor:
        normalised = images if self._identity else images * self.scale + self.shift
        return functional.normalize(self.backbone(normalised))


def _keep_input(graph: Path, given: PatchFormat) -> None:
    """Note in the file how its patches are normalised, so that `load_embedder` reads it as well."""
    import onnx

    model = onnx.load(str(graph))
    known = ReidInput(mean=given.mean, std=given.std, channels=given.channels)
    onnx.helper.set_model_props(model, {INPUT_KEY: json.dumps(known.model_dump(exclude_none=True))})
    onnx.save(model, str(graph))


def _described(target: Target) -> str:
    pixels = {
        "boxmot": "(pixel / 255 − mean) / std with ImageNet's mean and std",
        "ultralytics": "pixel / 255",
        "opencv": "pixel values 0 … 255",
    }
    return f"float32 RGB (B, 3, S, S), {pixels[target]}"
