import math

import pytest
import torch

from ssat.embedding.cosface import CosFaceHead
from ssat.embedding.network import FEATURE_DIM


def unit(*values: float) -> torch.Tensor:
    row = torch.zeros(FEATURE_DIM)
    row[: len(values)] = torch.tensor(values)
    return row


def head_with(rows: list[torch.Tensor], scale: float, margin: float) -> CosFaceHead:
    head = CosFaceHead(len(rows), scale=scale, margin=margin)
    with torch.no_grad():
        head.weight.copy_(torch.stack(rows))
    return head


def test_loss_of_a_hand_computed_case() -> None:
    # One feature at 60° from its own class (cosine 0.5) and at 90° from the other (cosine 0): with s = 4, m = 0.35 the
    # logits are 4·(0.5 - 0.35) = 0.6 and 0; the lengths of feature and weights must not matter.
    head = head_with([3 * unit(1.0), 7 * unit(0.0, 0.0, 1.0)], scale=4.0, margin=0.35)
    output = head(5 * unit(0.5, math.sqrt(0.75))[None], torch.tensor([0]))
    assert output.loss.item() == pytest.approx(math.log(1 + math.exp(-0.6)), rel=1e-5)
    assert output.target_cosine.item() == pytest.approx(0.5, rel=1e-5)
    assert output.accuracy.item() == 1.0


def test_accuracy_is_judged_without_the_margin() -> None:
    # Own class at cosine 0.6, the other at 0.4: right without the margin, though 0.6 - 0.35 is below 0.4.
    head = head_with([unit(1.0), unit(0.0, 1.0)], scale=30.0, margin=0.35)
    feature = unit(0.6, 0.4, math.sqrt(1 - 0.36 - 0.16))[None]
    assert head(feature, torch.tensor([0])).accuracy.item() == 1.0
    assert head(feature, torch.tensor([1])).accuracy.item() == 0.0


def test_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    head = CosFaceHead(3, scale=8.0, margin=0.2)
    features = torch.randn(4, FEATURE_DIM)
    labels = torch.tensor([0, 1, 2, 1])
    head(features, labels).loss.backward()
    gradient = head.weight.grad
    assert gradient is not None
    direction = torch.randn_like(head.weight) * 1e-3
    with torch.no_grad():
        head.weight += direction
        above = head(features, labels).loss
        head.weight -= 2 * direction
        below = head(features, labels).loss
    assert ((above - below) / 2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-2)
