"""Map frames to the input of the network and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INPUT_SIZE = (960, 544)  # width, height
Fit = Literal["letterbox", "published"]
# Of the published training, in BGR order, for values 0 … 1.
_MEAN_BGR = (0.40789654, 0.44719302, 0.47026115)
_STD_BGR = (0.28863828, 0.27408164, 0.27809835)


@dataclass(frozen=True)
class InputMap:
    """The uniform scale and shift from pixels of the frame to pixels of the input; the centres coincide."""

    scale: float
    shift_x: float
    shift_y: float

    @classmethod
    def of(cls, width: int, height: int, fit: Fit, input_size: tuple[int, int] = INPUT_SIZE) -> InputMap:
        """Return the map for frames of `width` x `height` pixels.

        Args:
            fit: `letterbox`: the whole frame is inside the input. `published`: the longer side spans the input's
                width, and the other side is padded or cut: of 640x480, 58.7 rows are cut off at top and at bottom. The
                published results were computed so. For 16:9 the two are the same.
            input_size: width and height of the input.
        """
        wide, high = input_size
        scale = min(wide / width, high / height) if fit == "letterbox" else wide / max(width, height)
        return cls(scale, wide / 2 - scale * width / 2, high / 2 - scale * height / 2)

    def to_input(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points or boxes (…, 2n) of the frame, in the input's coordinates."""
        return points * self.scale + self._shift(points)

    def to_frame(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points or boxes (…, 2n) of the input, in the frame's coordinates."""
        return (points - self._shift(points)) / self.scale

    def _shift(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.tile([self.shift_x, self.shift_y], points.shape[-1] // 2)


def warped(image: NDArray[np.uint8], to_input: InputMap, input_size: tuple[int, int] = INPUT_SIZE) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3) in the input's size, bilinear, black where the frame does not reach."""
    affine = np.array([[to_input.scale, 0.0, to_input.shift_x], [0.0, to_input.scale, to_input.shift_y]])
    return cv2.warpAffine(image, affine, input_size, flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def normalised(images_BHW3: Tensor) -> Tensor:
    """uint8 RGB (B, H, W, 3) as the network expects it: float32 (B, 3, H, W), BGR, the published mean and deviation."""
    device = images_BHW3.device
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (_MEAN_BGR, _STD_BGR))
    bgr: Tensor = images_BHW3.flip(-1).permute(0, 3, 1, 2).float() / 255.0
    return (bgr - mean) / std
