"""Large-margin cosine loss (CosFace, Wang et al. 2018, equation 4) over clip classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.network import FEATURE_DIM

_ROWS_OF_A_SEED = 4096


@dataclass(frozen=True)
class CosFaceOutput:
    """Loss with gradient, and two statistics of the training without gradient."""

    loss: Tensor
    accuracy: Tensor
    """Share of the batch whose own class has the highest cosine, without margin."""
    target_cosine: Tensor
    """Mean cosine between a feature and its own class's weight."""


def initial_rows(start: int, stop: int, seed: int) -> Tensor:
    """Return class weights (stop - start, 512) before training: the same for a class on every process, and however many
    classes there are."""
    blocks = []
    for block in range(start // _ROWS_OF_A_SEED, -(-stop // _ROWS_OF_A_SEED)):
        generator = torch.Generator().manual_seed((seed * 2**24 + block) % 2**63)
        rows = torch.randn(_ROWS_OF_A_SEED, FEATURE_DIM, generator=generator) * 0.01
        first = block * _ROWS_OF_A_SEED
        blocks.append(rows[max(start - first, 0) : stop - first])
    return torch.cat(blocks) if blocks else torch.empty(0, FEATURE_DIM)


class CosFaceHead(nn.Module):
    """One weight row per class; row k is class k, so a head of N classes is a row prefix of a larger one.

    loss = cross-entropy of s·(cos θ_y - m) against s·cos θ_j, j ≠ y. `margin` may change between steps.
    """

    def __init__(self, classes: int, *, scale: float, margin: float, seed: int = 0) -> None:
        super().__init__()
        self.scale = scale
        self.margin = margin
        self.rows = range(classes)
        self.weight = nn.Parameter(initial_rows(0, classes, seed))

    def forward(self, features_BD: Tensor, labels_B: Tensor) -> CosFaceOutput:
        # Margins and a softmax over s·cos lose too much in half precision.
        with torch.autocast(features_BD.device.type, enabled=False):
            cosine_BN = functional.normalize(features_BD.float()) @ functional.normalize(self.weight.float()).T
            target_B1 = cosine_BN.gather(1, labels_B[:, None])
            logits_BN = self.scale * cosine_BN.scatter(1, labels_B[:, None], target_B1 - self.margin)
            loss = functional.cross_entropy(logits_BN, labels_B)
        with torch.no_grad():
            accuracy = (target_B1.squeeze(1) >= cosine_BN.amax(1)).float().mean()
        return CosFaceOutput(loss, accuracy, target_B1.detach().mean())
