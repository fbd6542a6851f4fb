"""Large-margin cosine loss (CosFace, Wang et al. 2018, equation 4) over clip classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.network import FEATURE_DIM


@dataclass(frozen=True)
class CosFaceOutput:
    """Loss with gradient, and the two numbers that say how training goes, without."""

    loss: Tensor
    accuracy: Tensor
    """Share of the batch whose own class has the highest cosine, without margin."""
    target_cosine: Tensor
    """Mean cosine between a feature and its own class's weight."""


class CosFaceHead(nn.Module):
    """One weight row per class; row k is class k, so a head of N classes is a row prefix of a larger one.

    loss = cross-entropy of s·(cos θ_y - m) against s·cos θ_j, j ≠ y.
    """

    def __init__(self, classes: int, *, scale: float, margin: float) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        self.weight = nn.Parameter(torch.empty(classes, FEATURE_DIM))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features_BD: Tensor, labels_B: Tensor) -> CosFaceOutput:
        # Margins and a softmax over s·cos lose too much in half precision.
        with torch.autocast(features_BD.device.type, enabled=False):
            cosine_BN = functional.normalize(features_BD.float()) @ functional.normalize(self.weight.float()).T
            target_B1 = cosine_BN.gather(1, labels_B[:, None])
            logits_BN = self.scale * cosine_BN.scatter(1, labels_B[:, None], target_B1 - self.margin)
            loss = functional.cross_entropy(logits_BN, labels_B)
        with torch.no_grad():
            accuracy = (cosine_BN.argmax(1) == labels_B).float().mean()
        return CosFaceOutput(loss, accuracy, target_B1.detach().mean())
