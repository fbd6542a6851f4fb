"""An embedder that onnxruntime runs: float32, or int8 for CPUs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssat.embedding.embedder import Embedder
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.embedding.settings import Device
from ssat.errors import InputError
from ssat.workspace import sha256_of

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
FACTS_KEY = "ssat.facts"


class OnnxEmbedder(Embedder):
    """Features from a graph that `ssat.embedding.export` wrote; used like any embedder, but cannot be trained or saved.

    Raises:
        InputError: no graph of this program, onnxruntime is not installed, or has no GPU where one is asked for.
    """

    def __init__(self, path: Path, *, device: Device = "auto") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{path}: needs onnxruntime; pip install 'ssat[onnx]'") from error
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected an embedder that `ssat export` wrote")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        options.log_severity_level = 3
        # CUDA where this build of onnxruntime has it. Graphs with custom operators are refused, since none is loaded.
        wanted = {"auto": _PROVIDERS, "cuda": _PROVIDERS[:1], "cpu": _PROVIDERS[1:]}[device]
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        if not providers:
            raise InputError(f"{path}: embedder device {device} asked for, but this onnxruntime has none; use auto")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own classes of errors have no common base but this
            raise InputError(f"{path}: not a readable ONNX graph ({str(error).splitlines()[0]})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if len(inputs) == len(outputs) == 1 else []
        if (
            [item.name for item in (*inputs, *outputs)] != ["patches", "features"]
            or len(shape) != 4
            or not isinstance(shape[1], int)
            or shape[1:] != [shape[1], shape[1], 3]
            or outputs[0].shape[1:] != [FEATURE_DIM]
        ):
            raise InputError(f"{path}: not an embedder: expected patches (B, S, S, 3) in, features (B, 512) out")
        self.path = path
        self.input_size = shape[1]
        self._digest = sha256_of(path)
        try:
            self.facts = dict(json.loads(self._session.get_modelmeta().custom_metadata_map.get(FACTS_KEY, "{}")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: damaged metadata ({error})") from error

    @property
    def network(self) -> EmbeddingNetwork:  # type: ignore[override]
        """Raise: the graph holds no torch module.

        Raises:
            InputError: always.
        """
        raise InputError("an ONNX embedder holds no torch network; use the safetensors file that it was made from")

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return self._digest

    def _features(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: list[Any] = self._session.run(["features"], {"patches": patches})
        features: NDArray[np.float32] = answer[0]
        return features


def _threads() -> int:
    """Return the number of threads that torch would use, so that OMP_NUM_THREADS applies to both."""
    import torch

    return min(torch.get_num_threads(), os.cpu_count() or 1)
