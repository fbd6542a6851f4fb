"""CenterTrack's network on frames: frozen, in batches, or in the loop with the tracker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssat.detection.checkpoint import read_checkpoint
from ssat.detection.decode import decode
from ssat.detection.detections import Detections
from ssat.detection.geometry import INPUT_SIZE, InputMap, normalised, warped
from ssat.detection.network import CenterNetwork, folded, load_network
from ssat.detection.prior import prior_heatmap
from ssat.detection.settings import RefinementSettings
from ssat.errors import InputError

_VERSION = 1  # part of every key: raise it when the same weights give other detections


class CenterTrackDetector:
    """Detections of frames, given the frame before.

    Frozen (`__call__`): image and previous image, no prior heatmap: nothing depends on a tracker, so frames come in
    batches and the answer can be kept. Closed loop (`in_the_loop`): the tracks of the frame before are drawn into the
    prior heatmap.

    Args:
        network: as `load_network` gives it.
        digest: names the weights.
    """

    name = "centertrack"
    reads_previous = True

    def __init__(self, network: CenterNetwork, digest: str, settings: RefinementSettings | None = None) -> None:
        self.settings = settings or RefinementSettings()
        self.digest = digest
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = _precision(self.settings.precision, self.device)
        self._network = folded(network).to(self.device)
        if self.precision != torch.float32:
            self._network = self._network.to(self.precision)
        self._last: tuple[NDArray[np.uint8], Tensor] | None = None  # the frame before, as image and as input

    @classmethod
    def load(cls, path: Path, settings: RefinementSettings | None = None) -> CenterTrackDetector:
        """Return the refiner with a published checkpoint.

        Raises:
            InputError: no such file, nothing that is safe to read, or tensors that do not fit; says where to get it.
        """
        state, digest = read_checkpoint(path)
        try:
            network = load_network(state)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return cls(network, digest, settings)

    @property
    def batch(self) -> int:
        """Frames that are computed together."""
        return self.settings.batch

    @property
    def key(self) -> str:
        """SHA-256 over all that the frozen detections of a frame follow from, but the frames."""
        chosen = self.settings.model_dump(include={"input", "threshold"})
        content = [_VERSION, self.digest, chosen, str(self.precision), INPUT_SIZE]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def __call__(
        self, images: Sequence[NDArray[np.uint8]], previous: NDArray[np.uint8] | None = None
    ) -> list[Detections]:
        """Return detections of consecutive frames (H, W, 3) RGB, computed together.

        Args:
            previous: the frame before the first of them; None: there is none, and the first is its own.
        """
        inputs, maps = self._inputs(images)
        before = inputs[:1] if previous is None else self._inputs([previous])[0]
        earlier = torch.cat((before, inputs[:-1])) if len(images) > 1 else before
        return self._detect(inputs, earlier, None, maps)

    def in_the_loop(
        self, image: NDArray[np.uint8], previous: NDArray[np.uint8] | None, tracks_N4: NDArray[np.float64]
    ) -> Detections:
        """Return detections of one frame, given the tracks of the frame before (boxes in its pixels)."""
        inputs, maps = self._inputs([image])
        earlier = inputs
        if previous is not None:
            known = self._last is not None and self._last[0] is previous
            earlier = self._last[1] if known and self._last is not None else self._inputs([previous])[0]
        self._last = (image, inputs)
        drawn = prior_heatmap(maps[0].to_input(tracks_N4), *INPUT_SIZE)
        return self._detect(inputs, earlier, torch.from_numpy(drawn)[None, None].to(self.device), maps)[0]

    def _inputs(self, images: Sequence[NDArray[np.uint8]]) -> tuple[Tensor, list[InputMap]]:
        maps = [InputMap.of(image.shape[1], image.shape[0], self.settings.input, INPUT_SIZE) for image in images]
        stacked = np.stack(
            [warped(image, input_map, INPUT_SIZE) for image, input_map in zip(images, maps, strict=True)]
        )
        return normalised(torch.from_numpy(stacked).to(self.device)), maps

    @torch.inference_mode()
    def _detect(
        self, inputs: Tensor, previous: Tensor, heatmap: Tensor | None, maps: list[InputMap]
    ) -> list[Detections]:
        given = [None if tensor is None else self._cast(tensor) for tensor in (inputs, previous, heatmap)]
        assert given[0] is not None  # noqa: S101 - for the type checker
        finest = self._network.features(given[0], given[1], given[2])
        return decode(self._network, finest, maps, self.settings.threshold)

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.precision).contiguous(memory_format=torch.channels_last)


def _precision(named: str, device: torch.device) -> torch.dtype:
    if named == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    precision: torch.dtype = getattr(torch, named)
    return precision
