"""Building blocks of the DLA-34 detector. Attribute names are those of the published tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d

_TAPS = 9  # of a 3x3 kernel


def convolved(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU; keeps the size but for the stride."""
    convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions over a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + shortcut)


class Root(nn.Module):
    """Join of the outputs of a tree's nodes by a 1x1 convolution."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 1, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outside)

    def forward(self, *nodes: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(torch.cat(nodes, 1))))


class Tree(nn.Module):
    """A tree of one level: two residual blocks under one root (deep layer aggregation, arXiv 1707.06484).

    Args:
        joined: channels of what `forward` is given as `children`.
        takes_input: the root also sees the (max-pooled) input.
    """

    def __init__(self, inside: int, outside: int, stride: int, joined: int = 0, takes_input: bool = False) -> None:
        super().__init__()
        self.takes_input = takes_input
        self.tree1 = ResidualBlock(inside, outside, stride)
        self.tree2 = ResidualBlock(outside, outside, 1)
        self.root = Root(2 * outside + joined + (inside if takes_input else 0), outside)
        self.pool = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.project: nn.Module = nn.Identity()
        if inside != outside:
            self.project = _projection(inside, outside)

    def forward(self, x: Tensor, *children: Tensor) -> Tensor:
        pooled = self.pool(x)
        first = self.tree1(x, self.project(pooled))
        second = self.tree2(first, first)
        joined: Tensor = self.root(second, first, *children, *((pooled,) if self.takes_input else ()))
        return joined


class DoubleTree(nn.Module):
    """A tree of two levels: a tree, and a second one whose root joins the input and the first one as well.

    `project` is part of the published tensors, and nothing of it ever reaches the answer: it is kept, not computed.
    """

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.tree1 = Tree(inside, outside, stride)
        self.tree2 = Tree(outside, outside, 1, joined=inside + outside)
        self.pool = nn.MaxPool2d(stride, stride)
        self.project = _projection(inside, outside)

    def forward(self, x: Tensor) -> Tensor:
        first = self.tree1(x)
        second: Tensor = self.tree2(first, self.pool(x), first)
        return second


def _projection(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside))


class DeformableConv(nn.Conv2d):
    """A 3x3 convolution whose taps are moved and weighted by what another convolution says (arXiv 1811.11168)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, padding=1)
        self.conv_offset_mask = nn.Conv2d(inside, 3 * _TAPS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        moved = self.conv_offset_mask(x).float()
        offset, mask = moved[:, : 2 * _TAPS], moved[:, 2 * _TAPS :].sigmoid()
        # Sampling positions need more than the 8 bits of a bfloat16: this one operation stays in float32.
        bias = None if self.bias is None else self.bias.float()
        operation = _deformed if x.is_cuda else gathered_deform_conv
        return operation(x.float(), offset, mask, self.weight.float(), bias).to(x.dtype)


def _deformed(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = deform_conv2d(x.contiguous(), offset.contiguous(), weight, bias, padding=1, mask=mask.contiguous())
    return out


def gathered_deform_conv(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute `torchvision.ops.deform_conv2d` (3x3, stride and padding 1), four times as fast on a CPU.

    torchvision's operator takes one channel of one tap at a time; here all channels of a position are adjacent in
    memory and are gathered together, as the rows of an embedding table with bilinear weights.

    Args:
        x: (B, C, H, W). offset: (B, 18, H, W), dy and dx of each tap. mask: (B, 9, H, W). weight: (O, C, 3, 3).
    """
    n, channels, height, width = x.shape
    device = x.device
    tap = torch.arange(_TAPS, device=device)
    row = torch.arange(height, device=device).view(1, height, 1, 1) + (tap // 3 - 1)
    column = torch.arange(width, device=device).view(1, 1, width, 1) + (tap % 3 - 1)
    # Clamped far outside, where every weight is zero, so that integers do not overflow.
    y_BHWT = (offset[:, 0::2].permute(0, 2, 3, 1) + row).clamp(-2, height + 1)
    x_BHWT = (offset[:, 1::2].permute(0, 2, 3, 1) + column).clamp(-2, width + 1)
    y0, x0 = y_BHWT.floor(), x_BHWT.floor()
    down, right = y_BHWT - y0, x_BHWT - x0
    rows, row_weights = _neighbours(y0.int(), down, height)
    columns, column_weights = _neighbours(x0.int(), right, width)
    mask_BHWT = mask.permute(0, 2, 3, 1)
    first = torch.arange(n, dtype=torch.int32, device=device).view(n, 1, 1, 1) * (height * width)
    places = [first + r * width + c for r in rows for c in columns]
    weights = [r * c * mask_BHWT for r in row_weights for c in column_weights]
    table = x.permute(0, 2, 3, 1).reshape(n * height * width, channels)
    sampled = functional.embedding_bag(
        torch.stack(places, -1).view(-1, 4),
        table,
        per_sample_weights=torch.stack(weights, -1).view(-1, 4),
        mode="sum",
    )
    kernel_OK = weight.permute(0, 2, 3, 1).flatten(1)
    out = functional.linear(sampled.view(n * height * width, _TAPS * channels), kernel_OK, bias)
    return out.view(n, height, width, -1).permute(0, 3, 1, 2)


def _neighbours(first: Tensor, share: Tensor, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return the two neighbours of a position along one axis and their weights; zero for one that lies outside."""
    second = first + 1
    inside = [(index >= 0) & (index < size) for index in (first, second)]
    places = [index.clamp(0, size - 1) for index in (first, second)]
    return places, [(1 - share) * inside[0], share * inside[1]]


class DeformableBlock(nn.Module):
    """Deformable convolution, batch normalisation, ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(outside), nn.ReLU(inplace=True))
        self.conv = DeformableConv(inside, outside)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.actf(self.conv(x))
        return out


class Aggregation(nn.Module):
    """Iterative deep aggregation: every coarser map is projected, enlarged and added to the one before.

    Attributes `proj_k`, `up_k` and `node_k`, k ≥ 1, belong to the k-th map given to `forward`.
    """

    def __init__(self, channels: list[int], factors: list[int]) -> None:
        super().__init__()
        outside = channels[0]
        self.n_coarser = len(channels) - 1
        for k, (inside, factor) in enumerate(zip(channels[1:], factors[1:], strict=True), start=1):
            self.add_module(f"proj_{k}", DeformableBlock(inside, outside))
            enlarge = nn.ConvTranspose2d(outside, outside, 2 * factor, factor, factor // 2, groups=outside, bias=False)
            self.add_module(f"up_{k}", enlarge)
            self.add_module(f"node_{k}", DeformableBlock(outside, outside))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the maps, finest first, each joined with all before it; the first one as it is."""
        joined = [maps[0]]
        for k in range(1, self.n_coarser + 1):
            enlarged = self.get_submodule(f"up_{k}")(self.get_submodule(f"proj_{k}")(maps[k]))
            joined.append(self.get_submodule(f"node_{k}")(enlarged + joined[-1]))
        return joined
