"""An embedder for use elsewhere: safetensors or ONNX, with a model card beside it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ssat.embedding.embedder import Embedder
from ssat.embedding.network import FEATURE_DIM, EmbeddingNetwork
from ssat.errors import InputError
from ssat.workspace import committed

Format = Literal["safetensors", "onnx"]
_OPSET = 18
_LEAST_COSINE = 0.9999


def export_embedder(embedder: Embedder, format_: Format, folder: Path, patches: NDArray[np.uint8]) -> list[Path]:
    """Writes `embedder.safetensors` or `embedder.onnx`, and `MODEL_CARD.md`, into `folder`; gives the files.

    The ONNX graph takes `patches` (B, S, S, 3) uint8 RGB of any B and gives `features` (B, 512) float32 of unit
    length, as the embedder does. It is run with onnxruntime on `patches` and compared before it is kept.

    Raises:
        InputError: onnxruntime is not installed, or its features differ from torch's.
    """
    target = folder / f"embedder.{format_}"
    agreement = ""
    if format_ == "onnx":
        agreement = _export_onnx(embedder, target, patches)
    else:
        embedder.save(target)
    card = folder / "MODEL_CARD.md"
    with committed(card) as temporary:
        temporary.write_text(model_card(embedder, target.name, agreement), encoding="utf-8")
    return [target, card]


class _UnitFeatures(nn.Module):
    """The network with the normalisation that `Embedder` does outside it."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        return functional.normalize(self.network(patches).float())


def _export_onnx(embedder: Embedder, target: Path, patches: NDArray[np.uint8]) -> str:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("ONNX export needs onnx, onnxscript and onnxruntime: pip install 'ssat[onnx]'") from error

    module = _UnitFeatures(embedder.network).eval()
    device = embedder.device
    # Two patches: with one, the exporter takes the batch size for a constant.
    example = torch.from_numpy(np.ascontiguousarray(np.resize(patches, (2, *patches.shape[1:])))).to(device)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with committed(target) as temporary, warnings.catch_warnings():
        # The exporter warns of its own use of parts of torch that will change.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=["patches"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            opset_version=_OPSET,
            verbose=False,
        )
        if program is None:
            raise InputError(f"{target}: torch gave no ONNX program; use --format safetensors")
        program.save(str(temporary), external_data=False)
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        (features,) = session.run(None, {"patches": patches})
        expected = embedder(patches)
        cosine = float((features * expected).sum(1).min())
        if features.shape != (len(patches), FEATURE_DIM) or not cosine >= _LEAST_COSINE:
            raise InputError(
                f"{target}: onnxruntime's features differ from torch's (least cosine {cosine:.5f} over {len(patches)} "
                f"patches, expected {_LEAST_COSINE}); nothing was written. Update onnxruntime or use safetensors"
            )
    return (
        f"Compared with torch on {len(patches)} patches in onnxruntime {onnxruntime.__version__}: least cosine "
        f"{cosine:.6f}, largest difference {float(np.abs(features - expected).max()):.1e}."
    )


def model_card(embedder: Embedder, file_name: str, agreement: str = "") -> str:
    """Markdown: what the embedder is, what it was trained on and how well it does."""
    facts, size = embedder.facts, embedder.input_size
    settings, held_out = facts.get("settings", {}), facts.get("held_out", {})
    shown = {name: value for name, value in sorted(settings.items()) if value is not None}
    lines = [
        "# Appearance embedder",
        "",
        f"`{file_name}`: {embedder.network.architecture}, RGB patches of {size} x {size} pixels (uint8, 0 … 255, "
        f"normalisation inside) to {FEATURE_DIM} numbers of unit length. Two patches show the same person the more "
        "likely, the higher the dot product of their features.",
        "",
        f"- weights: `{embedder.digest}`",
    ]
    if agreement:
        lines.append(f"- {agreement}")
    lines += ["", "## Training", ""]
    if settings:
        lines += [
            "Self-supervised: every clip is a class, its frames are the samples (CosFace). No identity was labelled.",
            "",
            f"- {facts.get('classes', '?')} clips, frame store `{facts.get('data_digest', '?')}`",
            f"- {facts.get('steps', '?')} steps; weights of epoch {facts.get('epoch', 0):g}",
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in shown.items()),
        ]
    else:
        lines.append("None: random weights.")
    if held_out:
        lines += ["", "## Scores on held-out clips", "", "| score | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in sorted(held_out.items())]
    lines += [
        "",
        "## Use",
        "",
        "Made to tell people apart within one video, from frame to frame. It has not been made, or tested, to "
        "recognise somebody in another video.",
        "",
    ]
    return "\n".join(lines)
