"""The interface of embedders: patches in, features out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssat.errors import InputError


class Identified(Protocol):
    """The part of an embedder that can be known without its network.

    Attributes:
        input_size: side of square patches, or (height, width), pixels.
        digest: names the embedder in a cache key: two embedders with one digest give the same features.
    """

    @property
    def input_size(self) -> int | tuple[int, int]: ...

    @property
    def digest(self) -> str: ...


class PatchEmbedder(Identified, Protocol):
    """A function from patches to appearance features."""

    def __call__(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return L2-normalised features (B, F) of RGB patches (B, H, W, 3)."""
        ...


def patch_shape(embedder: Identified) -> tuple[int, int]:
    """Return height and width, pixels, of the patches that `embedder` takes."""
    size = embedder.input_size
    return size if isinstance(size, tuple) else (size, size)


def check_patches(patches: NDArray[np.uint8], embedder: PatchEmbedder) -> None:
    """Refuse patches that `embedder` does not take.

    Raises:
        InputError: names their type and shape, and those expected.
    """
    height, width = patch_shape(embedder)
    if patches.dtype != np.uint8 or patches.shape[1:] != (height, width, 3):
        raise InputError(
            f"patches are {patches.dtype} of shape {patches.shape}; expected uint8 of shape (B, {height}, {width}, 3)"
        )
