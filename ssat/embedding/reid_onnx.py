"""Any re-identification network in an ONNX file, used as an embedder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ssat.embedding.protocol import check_patches
from ssat.embedding.reid_input import USUAL_FORMAT, ReidInput
from ssat.errors import InputError
from ssat.workspace import sha256_of

INPUT_KEY = "reid.input"  # metadata of the file: `ReidInput` as JSON
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_LAYOUTS = (
    "one input, float32 or float16 (B, 3, H, W) or uint8 (B, H, W, 3), and one output (B, F), (B, F, 1, 1) or (B, 1, F)"
)


class ReidOnnxEmbedder:
    """Features of a re-identification network that another project trained; used like `ssat.embedding.Embedder`.

    Size and normalisation come from `given`, else from the file's metadata (`reid.input`, JSON of `ReidInput`), else
    they are `USUAL_FORMAT`.

    Args:
        path: the file; it is loaded without custom operators.
        given: input of the network, if known.
        device: `cuda`, `cpu` or `auto`.

    Attributes:
        input_size: (height, width) of the patches, pixels.
        feature_dim: length of a feature.
        digest: names file and normalisation in a cache key.

    Raises:
        InputError: no such file, no readable graph, an unknown layout, onnxruntime is not installed, or it has no GPU
            where one is asked for.
    """

    def __init__(
        self, path: Path, given: ReidInput | None = None, *, device: Literal["auto", "cpu", "cuda"] = "auto"
    ) -> None:
        self._session = _session(path, device)
        known = _from_metadata(path, self._session).over(USUAL_FORMAT)
        self.path, self.given = path, given or ReidInput()
        how = self.given.over(known)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        layout = _layout(inputs, outputs)
        if layout is None:
            shown = ", ".join(f"{item.name}: {item.type} {item.shape}" for item in (*inputs, *outputs))
            raise InputError(f"{path}: unknown layout of a re-identification network ({shown}); expected {_LAYOUTS}")
        self._dtype, self._channels_first, self._batch, fixed_size = layout
        height, width = (
            fixed if isinstance(fixed, int) else default for fixed, default in zip(fixed_size, how.size, strict=True)
        )
        if not (8 <= height <= 1024 and 8 <= width <= 1024):
            raise InputError(f"{path}: patches of {height} x {width} pixels; expected 8 to 1024 each way")
        self.input_size = (height, width)
        self._bgr = how.channels == "bgr"
        self._input, self._output = inputs[0].name, outputs[0].name
        self._mean = np.array(how.mean, np.float32) * 255
        self._std = np.array(how.std, np.float32) * 255
        if not (self._std > 0).all() or not np.isfinite([*how.mean, *how.std]).all():
            raise InputError(f"{path}: std {how.std} and mean {how.mean}: expected finite numbers, std above 0")
        named = f"reid-onnx-1 {sha256_of(path)} {how} {self.input_size}"
        self.digest = hashlib.sha256(named.encode()).hexdigest()
        self.feature_dim = self._run(np.zeros((1, height, width, 3), np.uint8), path).shape[1]

    def __call__(self, patches: NDArray[np.uint8], batch_size: int = 64) -> NDArray[np.float32]:
        """Return L2-normalised features (B, F) of RGB patches (B, H, W, 3), (H, W) = `input_size`.

        Raises:
            InputError: patches of another shape or type.
        """
        check_patches(patches, self)
        features_BF = np.empty((len(patches), self.feature_dim), np.float32)
        step = self._batch or batch_size
        for start in range(0, len(patches), step):
            batch = patches[start : start + step]
            features_BF[start : start + len(batch)] = self._run(batch)
        return features_BF

    def _run(self, patches: NDArray[np.uint8], path: Path | None = None) -> NDArray[np.float32]:
        n_patches = len(patches)
        if self._batch and n_patches < self._batch:
            # A graph of a fixed batch: black patches fill it.
            filling = np.zeros((self._batch - n_patches, *patches.shape[1:]), np.uint8)
            patches = np.concatenate([patches, filling])
        array: NDArray[Any] = patches[..., ::-1] if self._bgr else patches
        if self._dtype is not None:
            array = ((array.astype(np.float32) - self._mean) / self._std).astype(self._dtype)
        if self._channels_first:
            array = array.transpose(0, 3, 1, 2)
        try:
            (answer,) = self._session.run([self._output], {self._input: np.ascontiguousarray(array)})
        except Exception as error:  # onnxruntime's own classes of errors have no common base but this
            raise InputError(f"{path or 'embedder'}: the network failed: {str(error).splitlines()[0]}") from error
        raw_BF = np.asarray(answer, np.float32).reshape(len(patches), -1)[:n_patches]
        norms_B1 = np.linalg.norm(raw_BF, axis=1, keepdims=True)
        features_BF: NDArray[np.float32] = raw_BF / np.maximum(norms_B1, 1e-12)
        return features_BF


def is_foreign(path: Path) -> bool:
    """Return whether the graph comes from another project: an own one has `patches` in and `features` out.

    Raises:
        InputError: no such file, no readable graph, or onnxruntime is not installed.
    """
    session = _session(path, "cpu")
    return [item.name for item in (*session.get_inputs(), *session.get_outputs())] != ["patches", "features"]


def _session(path: Path, device: Literal["auto", "cpu", "cuda"]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{path}: needs onnxruntime; pip install 'ssat[onnx]'") from error
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an ONNX file of a re-identification network")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.log_severity_level = 3
    wanted = {"auto": ["CUDAExecutionProvider", "CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}
    available = onnxruntime.get_available_providers()
    providers = [name for name in wanted.get(device, ["CPUExecutionProvider"]) if name in available]
    if not providers:
        raise InputError(f"{path}: device {device} asked for, but this onnxruntime has none; use auto")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's own classes of errors have no common base but this
        raise InputError(f"{path}: not a readable ONNX graph ({str(error).splitlines()[0]})") from error


def _from_metadata(path: Path, session: Any) -> ReidInput:
    written = session.get_modelmeta().custom_metadata_map.get(INPUT_KEY)
    if written is None:
        return ReidInput()
    try:
        return ReidInput.model_validate(json.loads(written))
    except (ValueError, ValidationError) as error:
        raise InputError(f"{path}: metadata {INPUT_KEY} is not what it should be: {error}") from error


def _layout(
    inputs: Sequence[Any], outputs: Sequence[Any]
) -> tuple[type | None, bool, int | None, tuple[Any, Any]] | None:
    """Return dtype (None: uint8), channels first, fixed batch or None, and (height, width); None if unknown."""
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
        return None
    shape, answer = inputs[0].shape, outputs[0].shape
    vector = len(answer) == 2 or (len(answer) == 4 and answer[2:] == [1, 1]) or (len(answer) == 3 and answer[1] == 1)
    if not vector or outputs[0].type not in _FLOATS:
        return None
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    if inputs[0].type in _FLOATS and shape[1] == 3:
        return _FLOATS[inputs[0].type], True, batch, (shape[2], shape[3])
    if inputs[0].type == "tensor(uint8)" and shape[3] == 3:
        return None, False, batch, (shape[1], shape[2])
    return None
