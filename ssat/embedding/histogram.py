"""A soft colour histogram as a network: its cells, mean and whitening are learned (see `colour_learning`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.identity import HISTOGRAM

CELLS, STRIPES = 128, 4
_ROWS, _COLUMNS = 64, 32  # pixels after pooling
_HALF_WIDTH = 0.33  # of the ellipse, in widths of the box; it is as high as the box
_FLOOR = 1e-4  # share of a cell that counts as empty
_CHANNELS = 6


class HistogramNetwork(nn.Module):
    """uint8 RGB images (B, H, W, 3) → raw features (B, 512); a caller normalises them.

    Every pixel of an upright ellipse belongs softly to 128 cells of a space of colours; the square root of the
    histograms of four soft stripes, L2-normalised, has the mean of all patches taken off and is whitened: directions in
    which one thing changes from view to view count less.

    H is a multiple of 64, W of 32.
    """

    pool: Tensor
    mean: Tensor
    whitening: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.architecture = HISTOGRAM
        self.cells = nn.Conv2d(_CHANNELS, CELLS, 1)
        self.register_buffer("pool", _stripe_weights(), persistent=False)
        self.register_buffer("mean", torch.zeros(CELLS * STRIPES))
        self.register_buffer("whitening", torch.eye(CELLS * STRIPES))

    def histogram(self, images_BHW3: Tensor) -> Tensor:
        """Return the histograms (B, 512), L2-normalised, before mean and whitening."""
        colours = colour_channels(pooled(images_BHW3))
        belongs = self.cells(colours).float().softmax(dim=1).flatten(2)
        shares = torch.matmul(self.pool, belongs.transpose(1, 2))
        return functional.normalize((shares + _FLOOR).sqrt().flatten(1))

    def forward(self, images_BHW3: Tensor) -> Tensor:
        centred: Tensor = self.histogram(images_BHW3) - self.mean
        return centred @ self.whitening


def pooled(images_BHW3: Tensor) -> Tensor:
    """Return the images at 64 x 32 pixels, (B, 3, 64, 32), values 0 to 1."""
    height, width = images_BHW3.shape[1:3]
    kernel = (max(1, height // _ROWS), max(1, width // _COLUMNS))
    return functional.avg_pool2d(images_BHW3.permute(0, 3, 1, 2).float() / 255, kernel)


def colour_channels(images_B3HW: Tensor) -> Tensor:
    """Return (B, 6, H, W): red, green, blue, brightness by ratio, and two differences relative to it."""
    red, green, blue = images_B3HW.unbind(dim=1)
    light = (red + green + blue) / 3
    channels = (
        *((colour - 0.45) / 0.25 for colour in (red, green, blue)),
        (torch.log(light + 0.05) + 1) / 0.7,
        (red - green) / (light + 0.1) / 0.4,
        ((red + green) / 2 - blue) / (light + 0.1) / 0.4,
    )
    return torch.stack(channels, dim=1)


def _stripe_weights() -> Tensor:
    """(4, 64·32) weights of the pixels in each stripe; each row sums to 1."""
    y, x = (torch.arange(_ROWS) + 0.5) / _ROWS, (torch.arange(_COLUMNS) + 0.5) / _COLUMNS
    from_centre = ((y[:, None] - 0.5) / 0.5) ** 2 + ((x[None] - 0.5) / _HALF_WIDTH) ** 2
    inside = torch.log(torch.sigmoid((1 - from_centre) * 6) + 1e-3)
    centres = (torch.arange(STRIPES) + 0.5) / STRIPES
    stripes = -(((y[None] - centres[:, None]).abs() * STRIPES / 0.55) ** 4) / 2
    return (inside[None] + stripes[:, :, None].clamp(min=-8)).flatten(1).softmax(dim=1)
