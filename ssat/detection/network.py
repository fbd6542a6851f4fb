"""CenterTrack's network (arXiv 2004.01177): DLA-34 with deformable up-sampling and a head per quantity.

An implementation of its own; names and shapes of the tensors are those of the published MOT17 checkpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ssat.detection.layers import Aggregation, DeformableBlock, DoubleTree, ResidualBlock, Root, Tree, convolved
from ssat.errors import InputError

STRIDE = 4  # of the heads' maps against the input
HEADS = {"hm": 1, "reg": 2, "wh": 2, "tracking": 2, "ltrb_amodal": 4}
_LEVELS = (64, 128, 256, 512)  # channels of the maps at stride 4, 8, 16, 32
_HEAD_WIDTH = 256
_MAX_NAMED = 5
_COCO_CLASSES = 80


class Backbone(nn.Module):
    """DLA-34 over the image, with two more stems for the previous image and the prior heatmap."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = convolved(3, 16, 7)
        self.level0 = convolved(16, 16)
        self.level1 = convolved(16, 32, stride=2)
        self.level2 = Tree(32, 64, 2)
        self.level3 = DoubleTree(64, 128, 2)
        self.level4 = DoubleTree(128, 256, 2)
        self.level5 = Tree(256, 512, 2, takes_input=True)
        self.pre_img_layer = convolved(3, 16, 7)
        self.pre_hm_layer = convolved(1, 16, 7)

    def forward(self, image: Tensor, previous_image: Tensor | None, prior_heatmap: Tensor | None) -> list[Tensor]:
        """Return maps at stride 4, 8, 16 and 32."""
        x = self.base_layer(image)
        if previous_image is not None:
            x = x + self.pre_img_layer(previous_image)
        if prior_heatmap is not None:
            x = x + self.pre_hm_layer(prior_heatmap)
        x = self.level1(self.level0(x))
        maps = []
        for level in (self.level2, self.level3, self.level4, self.level5):
            x = level(x)
            maps.append(x)
        return maps


class Upsampling(nn.Module):
    """Combination of the four maps at their three finer scales."""

    def __init__(self) -> None:
        super().__init__()
        self.ida_0 = Aggregation([256, 512], [1, 2])
        self.ida_1 = Aggregation([128, 256, 256], [1, 2, 2])
        self.ida_2 = Aggregation([64, 128, 128, 128], [1, 2, 2, 2])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return maps at stride 4, 8 and 16, each including all coarser ones."""
        two = self.ida_0(maps[2:])
        three = self.ida_1([maps[1], *two])
        four = self.ida_2([maps[0], *three])
        return [four[-1], three[-1], two[-1]]


class CenterNetwork(nn.Module):
    """Images in, a map per head out, at a quarter of their size. Both sides of an image are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Backbone()
        self.dla_up = Upsampling()
        self.ida_up = Aggregation([64, 128, 256], [1, 2, 4])
        for name, channels in HEADS.items():
            head = nn.Sequential(
                nn.Conv2d(_LEVELS[0], _HEAD_WIDTH, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(_HEAD_WIDTH, channels, 1),
            )
            self.add_module(name, head)

    def forward(
        self, image: Tensor, previous_image: Tensor | None = None, prior_heatmap: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Head → map (B, C, H/4, W/4), before any sigmoid.

        Args:
            image: (B, 3, H, W) normalised as `ssat.detection.geometry` does.
            previous_image: likewise, of the frame before; None if there is none.
            prior_heatmap: (B, 1, H, W) where the tracks were, 0 … 1; None if there is none.
        """
        finest = self.features(image, previous_image, prior_heatmap)
        return {name: self.get_submodule(name)(finest) for name in HEADS}

    def features(self, image: Tensor, previous_image: Tensor | None, prior_heatmap: Tensor | None) -> Tensor:
        """Return the input of the heads: (B, 64, H/4, W/4)."""
        maps = self.base(image, previous_image, prior_heatmap)
        finest: Tensor = self.ida_up(self.dla_up(maps))[-1]
        return finest

    def head_at(self, name: str, finest_B64HW: Tensor, batch_N: Tensor, y_N: Tensor, x_N: Tensor) -> Tensor:
        """Return one head's values (N, C) at some places only: the same as its map there, without computing the map.

        Args:
            batch_N, y_N, x_N: places in the map.
        """
        head = self.get_submodule(name)
        wide, narrow = head[0], head[2]  # type: ignore[index]
        padded = functional.pad(finest_B64HW, (1, 1, 1, 1))
        near = torch.arange(3, device=y_N.device)
        rows, columns = (y_N[:, None] + near)[:, :, None], (x_N[:, None] + near)[:, None, :]
        patches_N33C = padded.permute(0, 2, 3, 1)[batch_N[:, None, None], rows, columns]
        patches_NK = patches_N33C.permute(0, 3, 1, 2).flatten(1)
        hidden = functional.relu(functional.linear(patches_NK, wide.weight.flatten(1), wide.bias))
        return functional.linear(hidden, narrow.weight.flatten(1), narrow.bias)


def load_network(state_dict: Mapping[str, Tensor]) -> CenterNetwork:
    """Return the network with these tensors, in evaluation mode.

    Args:
        state_dict: name → tensor, with or without a leading `module.`; all of them, and nothing else.

    Raises:
        InputError: tensors that are missing, unexpected or of another shape; names them.
    """
    # str: an untrusted file may have other keys, which are reported as unexpected.
    given = {str(name).removeprefix("module."): tensor for name, tensor in state_dict.items()}
    with torch.device("meta"):
        network = CenterNetwork()
    _check_tensors(network.state_dict(), given)
    # Copied, so that the network is float32 and shares no memory with the caller.
    network.to_empty(device="cpu").load_state_dict(given)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


def folded(network: CenterNetwork) -> CenterNetwork:
    """Return a copy with the same outputs, with every batch normalisation folded into the convolution before it."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, DeformableBlock):
            module.conv = _fused(module.conv, module.actf[0])
            module.actf[0] = nn.Identity()
        elif isinstance(module, ResidualBlock):
            module.conv1, module.bn1 = _fused(module.conv1, module.bn1), nn.Identity()
            module.conv2, module.bn2 = _fused(module.conv2, module.bn2), nn.Identity()
        elif isinstance(module, Root):
            module.conv, module.bn = _fused(module.conv, module.bn), nn.Identity()
        elif isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
            module[0], module[1] = _fused(module[0], module[1]), nn.Identity()
    return copied.to(memory_format=torch.channels_last)


def _fused(convolution: nn.Module, norm: nn.Module) -> Any:
    return fuse_conv_bn_eval(cast("nn.Conv2d", convolution), cast("nn.BatchNorm2d", norm))


def _check_tensors(expected: Mapping[str, Tensor], given: Mapping[str, object]) -> None:
    no_tensor = sorted(name for name, tensor in given.items() if not isinstance(tensor, Tensor))
    if no_tensor:
        raise InputError(f"not a state dict: {', '.join(no_tensor[:_MAX_NAMED])}: no tensor")
    shapes = {name: tuple(tensor.shape) for name, tensor in given.items() if isinstance(tensor, Tensor)}
    wrong = [
        f"{name} is {_shape(shapes[name])}, expected {_shape(tuple(tensor.shape))}"
        for name, tensor in expected.items()
        if name in shapes and shapes[name] != tuple(tensor.shape)
    ]
    missing = [name for name in expected if name not in shapes]
    extra = [name for name in shapes if name not in expected]
    kinds = (("missing", missing), ("unexpected", extra), ("of another shape", wrong))
    problems = [f"{kind}: {_first_of(names)}" for kind, names in kinds if names]
    if not problems:
        broken = [name for name, tensor in given.items() if isinstance(tensor, Tensor) and not tensor.isfinite().all()]
        if broken:
            raise InputError(f"tensors hold values that are not finite: {_first_of(broken)}; download the file again")
        return
    classes = shapes.get("hm.2.weight", (1,))[0]
    hint = "; expected CenterTrack's MOT17 network (mot17_half.pth or mot17_fulltrain.pth)"
    if classes != HEADS["hm"]:
        what = "COCO's 80 classes" if classes == _COCO_CLASSES else f"{classes} classes"
        hint = f"; this network was trained for {what}, the tracker needs the one for pedestrians alone" + hint
    raise InputError(f"tensors do not fit the network; {'; '.join(problems)}{hint}")


def _first_of(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape) or "a number"
