"""The trained embedder: patches in, 512-d appearance features out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ssat.embedding.device import dtype_of, usable_device
from ssat.embedding.histogram import HistogramNetwork
from ssat.embedding.identity import FORMAT, HISTOGRAM, read_header, weights_digest
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.settings import Architecture, Device, Precision
from ssat.errors import InputError, WorkspaceError
from ssat.file_names import EMBEDDER_FILE
from ssat.workspace import committed

_RUN = re.compile(r"[0-9a-f]{32}|models:/.+")


class Embedder:
    """A network that turns patches into features; the features of a patch do not depend on its batch.

    Args:
        network: in any mode; it is put into evaluation mode.
        input_size: side of the square patches it was trained on, pixels.
        facts: what the file says about its training (settings, data digest, scores); informative.
        device: where it runs; `auto` is a GPU where one is usable.
        precision: arithmetic of the network; `auto` is bfloat16 where the processor computes it natively. The
            features are float32 either way.

    Raises:
        InputError: a GPU asked for where none is usable.
    """

    def __init__(
        self,
        network: EmbeddingNetwork | HistogramNetwork,
        input_size: int,
        facts: Mapping[str, Any] | None = None,
        *,
        device: Device = "auto",
        precision: Precision = "float32",
    ) -> None:
        self.device = usable_device(device, "embedder device")
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self.input_size = input_size
        self.facts = dict(facts or {})
        self._dtype = dtype_of(precision, self.device)

    @classmethod
    def untrained(
        cls, architecture: Architecture = "resnet18", input_size: int = 112, seed: int = 0, **how: Any
    ) -> Embedder:
        """Return a network with random weights: the floor that training has to beat. `how`: device and precision."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(EmbeddingNetwork(architecture), input_size, {"untrained_seed": seed}, **how)

    @classmethod
    def load(cls, path: str | Path, *, device: Device = "auto", precision: Precision = "float32") -> Embedder:
        """An embedder from a safetensors file that `save` wrote, the folder of a training that holds one, an ONNX file
        that `ssat export` wrote, or a run.

        A run is a run id, `models:/NAME/VERSION` or `models:/NAME@ALIAS`. The library knows no tracking
        server: a package that does registers a function from run to file as an entry point of the group
        `ssat.embedders`.
        `device` and `precision` are those of the class; an ONNX file has its own precision and takes the devices that
        onnxruntime has.

        Raises:
            InputError: no such file, no safetensors, another network, or tensors that do not fit; names them.
        """
        if _RUN.fullmatch(str(path)) and not Path(path).exists():
            path = _file_of_run(str(path))
        path = Path(path)
        if path.is_dir():
            path = path / EMBEDDER_FILE
        if path.suffix == ".onnx":
            from ssat.embedding.onnx_embedder import OnnxEmbedder

            return OnnxEmbedder(path, device=device)
        header = read_header(path)
        tensors = safetensors.torch.load_file(path)
        histogram = header.architecture == HISTOGRAM
        network = HistogramNetwork() if histogram else EmbeddingNetwork(cast(Architecture, header.architecture))
        _check_tensors(path, network.state_dict(), tensors)
        network.load_state_dict(tensors)
        return cls(network, header.input_size, header.facts, device=device, precision=precision)

    def save(self, path: Path) -> None:
        """Write tensors and metadata to one safetensors file, whole or not at all.

        Raises:
            WorkspaceError: there is no room, or no right, to write it.
        """
        metadata = {
            "format": FORMAT,
            "architecture": self.network.architecture,
            "input_size": str(self.input_size),
            "feature_dim": str(FEATURE_DIM),
            "facts": json.dumps(self.facts, sort_keys=True),
        }
        tensors = {name: tensor.contiguous().cpu() for name, tensor in self.network.state_dict().items()}
        try:
            with committed(path) as temporary:
                safetensors.torch.save_file(tensors, temporary, metadata)
        except (OSError, safetensors.SafetensorError) as error:
            raise WorkspaceError(f"{path}: the embedder could not be written ({error}); make room there") from error

    @property
    def digest(self) -> str:
        """SHA-256 over architecture, input size, arithmetic and weights: what names the embedder in a cache key."""
        arithmetic = "" if self._dtype == torch.float32 else f" {self._dtype}"
        weights = sorted(self.network.state_dict().items())
        tensors = ((name, tensor.cpu().contiguous().numpy().tobytes()) for name, tensor in weights)
        return weights_digest(self.network.architecture, self.input_size, tensors, arithmetic)

    def __call__(self, patches: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
        """L2-normalised features (B, 512) of RGB patches (B, S, S, 3), S = `input_size`.

        Raises:
            InputError: patches of another shape or type.
        """
        self._check(patches)
        features_BD = np.empty((len(patches), FEATURE_DIM), np.float32)
        for start in range(0, len(patches), batch_size):
            batch = np.ascontiguousarray(patches[start : start + batch_size])
            features_BD[start : start + len(batch)] = self._features(batch)
        return features_BD

    @torch.inference_mode()
    def _features(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = torch.from_numpy(patches).to(self.device)
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
            raw_BD = self.network(batch)
        features: NDArray[np.float32] = functional.normalize(raw_BD.float()).cpu().numpy()
        return features

    def _check(self, patches: NDArray[np.uint8]) -> None:
        size = self.input_size
        if patches.dtype != np.uint8 or patches.shape[1:] != (size, size, 3):
            raise InputError(
                f"patches are {patches.dtype} of shape {patches.shape}; expected uint8 of shape (B, {size}, {size}, 3)"
            )


def _file_of_run(run: str) -> Path:
    for point in entry_points(group="ssat.embedders"):
        file: Path = point.load()(run)
        return file
    raise InputError(
        f"embedder {run}: no installed package resolves runs (entry point group ssat.embedders); expected one. "
        "Install it by pip install 'ssat[pipeline]'"
    )


def _check_tensors(path: Path, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    missing = sorted(set(expected) - set(given))
    extra = sorted(set(given) - set(expected))
    wrong = sorted(name for name in set(expected) & set(given) if expected[name].shape != given[name].shape)
    problems = [
        f"{kind}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for kind, names in (("missing", missing), ("unexpected", extra), ("of another shape", wrong))
        if names
    ]
    if problems:
        raise InputError(f"{path}: tensors do not fit the network; {'; '.join(problems)}")
