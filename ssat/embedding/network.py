"""The appearance network: a torchvision ResNet whose last layer gives the 512-d feature."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

from ssat.embedding.settings import Architecture
from ssat.errors import InputError

FEATURE_DIM = 512
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class EmbeddingNetwork(nn.Module):
    """ResNet → 512 (paper, section 3.2); random weights unless `pretrained`.

    `forward` takes uint8 RGB images (B, H, W, 3) and gives raw features (B, 512); a caller normalises them. Scaling
    and normalisation are part of the network, so they run on its device and cannot differ between training and use.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, *, pretrained: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone = torchvision.models.get_model(architecture, weights=None, num_classes=FEATURE_DIM)
        if pretrained:
            self._load_imagenet()
        self.register_buffer("mean", 255 * torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def _load_imagenet(self) -> None:
        """torchvision's ImageNet weights for all layers but the last, whose width differs."""
        weights = torchvision.models.get_model_weights(self.architecture).DEFAULT
        try:
            tensors = torch.hub.load_state_dict_from_url(weights.url, progress=False, weights_only=True)
        except OSError as error:
            raise InputError(
                f"setting train.pretrained: {weights.url} cannot be downloaded ({error}); put the file into "
                f"{torch.hub.get_dir()}/checkpoints, or train from scratch"
            ) from error
        self.backbone.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("fc.")}, strict=False)

    def forward(self, images_BHW3: Tensor) -> Tensor:
        # An NHWC batch seen as NCHW is already in channels_last memory order: no copy but the conversion to float.
        images_B3HW = images_BHW3.permute(0, 3, 1, 2).to(self.mean.dtype)
        features_BD: Tensor = self.backbone((images_B3HW - self.mean) / self.std)
        return features_BD
